#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: benchmarks/compare on tiny sizes, with ART alone and with the MPIs that are there: the table,
# the JSON and the plots are whole, a wrong result is found, a signal ends it and all it has started.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
src=$(realpath "${ART_SRCDIR:-$(dirname "${BASH_SOURCE[0]}")/../..}")
compare=$src/benchmarks/compare
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
few=(--quick --build "$build" --rounds 1 --budget 1 --sizes 8,1K --limit 200)

run "$compare" --help
[ $rc = 0 ] || complain "--help: exit status $rc"
run "$compare" --sizes 12
[ $rc = 2 ] && grep -q "'12' is no multiple of 8 bytes" err || complain "--sizes 12: exit status $rc"
run "$compare" --build "$dir"
[ $rc = 1 ] && grep -q 'has no artrun' err || complain "--build of an empty directory: exit status $rc"

# check LIBRARIES PLACES: what the run left in out, in j.json and in plots
check() {
	[ $rc = 0 ] || complain "exit status $rc"
	python3 - "$@" <<'END' || complain "for $1: table, JSON or plots are not as documented"
import json, os, re, sys
import xml.etree.ElementTree as xml
libraries, places = int(sys.argv[1]), [p.split("-") for p in sys.argv[2:]]
got = json.load(open("j.json"))
assert len(got["libraries"]) == libraries and "art" in got["libraries"], got["libraries"]
lines = open("out").read().splitlines()
for transport, ranks in places:
    rows = [r for r in got["results"] if (r["transport"], str(r["ranks"])) == (transport, ranks)]
    assert [(r["op"], r["bytes"]) for r in rows] == [
        (op, size) for op in ("bcast", "reduce", "allreduce") for size in (8, 1024)] + [("barrier", 0)]
    for r in rows:
        assert r["us"]["art"] > 0 and len(r["us"]) == libraries, r
        peers = [t for name, t in r["us"].items() if name != "art"]
        assert r["ratio"] == (r["us"]["art"] / min(peers) if peers else None), r
    picture = xml.parse(f"plots/{transport}-{ranks}.svg").getroot()
    drawn = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(drawn) == 3 * libraries, len(drawn)
    assert all(len(p.get("points").split()) == 2 for p in drawn)
assert sum(bool(re.match(r" \w+ +(8|1024|-) +[0-9.]+", line)) for line in lines) == 7 * len(places)
assert len(os.listdir("plots")) == len(places)
assert len(got["summary"]) == (len(places) if libraries > 1 else 0), got["summary"]
assert sum(bool(re.search("(: |, )worst ", line)) for line in lines) == len(got["summary"])
END
	cp out first
	run "$compare" --from j.json --plots again
	[ $rc = 0 ] && diff -r plots again && diff <(grep -v '^drawn' first) <(grep -v '^drawn' out) ||
		complain "for $1: --from shows other figures than the run"
	rm -rf plots again j.json
}

run "$compare" "${few[@]}" --libraries art --transports shm --ranks 3 --json j.json --plots plots
check 1 shm-3

peers=1
for mpi in openmpi mpich; do
	! { command -v mpicc.$mpi && command -v mpirun.$mpi; } >/dev/null || peers=$((peers + 1))
done
run "$compare" "${few[@]}" --ranks 2 --json j.json --plots plots
[ "$(grep -c 'is left out$' err)" = $((3 - peers)) ] || complain "no sentence for an MPI that is not there"
check $peers shm-2 tcp-2
echo '{"results": []}' >j.json
run "$compare" --from j.json
[ $rc = 1 ] && grep -q 'is not what compare --json writes' err || complain "--from another file: exit status $rc"

# Only rounds that both have are compared: here ART's second one was under load, and the peer had none.
cat >j.json <<'END'
{"machine": "m", "libraries": {"art": "a", "mpich": "p"}, "names": {"art": "ART", "mpich": "MPICH"},
 "rounds": 2, "command": "c", "summary": [], "results": [{"transport": "shm", "ranks": 2, "op": "bcast",
 "bytes": 8, "rounds_us": {"art": [2, 90], "mpich": [4, null]}}]}
END
run "$compare" --from j.json
[ $rc = 0 ] && grep -q 'median ratio 0.50 (target 0.6: met), worst 0.50, bcast 8 B' out ||
	complain "rounds that only one library has: exit status $rc"

# What was done by then counts, if anything was.
run "$compare" --build "$build" --libraries art --ranks 2 --budget 60000 --limit 2
[ $rc -le 1 ] && grep -q 'the limit of 2 s is over: 0 of 10 jobs are counted' err ||
	complain "--limit: exit status $rc"

run "$compare" "${few[@]}" --against-ft-off --transports shm --ranks 2 --ops allreduce --json j.json
[ $rc = 0 ] && [ "$(grep -cE '^ allreduce +(8|1024) ' out)" = 2 ] && grep -q 'median cost' out ||
	complain "--against-ft-off: exit status $rc"

# ---- a wrong result ----
# An MPI for a job of one, whose sums of 16 elements are wrong in their last one.
cat >mpi.h <<'END'
#include <stdlib.h>
#include <string.h>
#define MPI_Init(c, v) 0
#define MPI_Finalize() 0
#define MPI_Abort(comm, code) exit(code)
#define MPI_Comm_rank(comm, rank) (*(rank) = 0)
#define MPI_Comm_size(comm, size) ((*(size) = 1) - 1)
#define MPI_Barrier(comm) 0
#define MPI_Bcast(...) 0
#define MPI_Reduce(in, out, n, ...) (memcpy(out, in, (size_t)(n) * 8), 0)
#define MPI_IN_PLACE out
#define MPI_Allreduce(in, out, n, ...) (memmove(out, in, (size_t)(n) * 8), spoil(out, n))
static int spoil(double *out, int n) { return n == 16 ? (out[n - 1] += 1, 0) : 0; }
END
cc -w -std=gnu11 -DWITH_MPI "-I$dir" "-I$src" -o wrong "$src/benchmarks/comparison/collective.c" >out 2>err ||
	complain "the program does not compile against a small mpi.h"
run ./wrong reduce,allreduce 8,64 0.01
[ $rc = 0 ] && [ "$(wc -l <out)" = 4 ] || complain "right results: exit status $rc"
run ./wrong allreduce 128 0.01
[ $rc = 1 ] && grep -q 'allreduce: wrong result at rank 0' err || complain "a wrong result: exit status $rc"

# ---- a signal ----
started() { grep -lsa -- "$dir/tmp/[c]ompare-" /proc/[0-9]*/cmdline; }
mkdir tmp
TMPDIR=$dir/tmp begin "$compare" --build "$build" --libraries art --ranks 2 --budget 60000
await started || complain "the comparison did not begin"
kill -INT "$job" # and timeout(1) sends it on twice
kill -INT "$job"
finish
[ $rc = 130 ] || complain "interrupted: exit status $rc"
[ -z "$(started)" ] && [ -z "$(ls -A tmp)" ] || complain "interrupted: something is left over"
verdict
