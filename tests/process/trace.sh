#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: artrun --trace writes one file that a JSON reader takes: every rank's operations, also
# those of a rank that was killed, the change of the members with its phases, and the evidence; times
# never go back. A file that cannot be written is refused before the job begins.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

mkfifo gate
exec {gate}<>gate
begin "$artrun" -n 4 --trace trace.json "$programs/t_gate" told gate
for r in 0 1 2 3; do
	await grep -q "^rank $r counts 4$" out || complain "the job has not started"
done
kill -KILL "$(sed -n 's/^rank 2 is process //p' out)"
for r in 0 1 3; do
	await grep -q "^rank $r counts 3$" out || complain "rank $r does not go on"
done
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "exit status $rc"
[ -z "$(find . -name 'trace.json.*')" ] || complain "the ranks' files are left behind"
[ "$(tail -n 1 trace.json)" = "]}" ] || complain "the trace has no end"

python=$(command -v python3)
[ -z "$python" ] || "$python" - trace.json <<'END' || complain "the trace is not as documented"
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
assert sorted(names) == [0, 1, 2, 3] and all(n.startswith("rank %d (" % r) for r, n in names.items()), names
timed = [e for e in events if e["ph"] != "M"]
times = [e["ts"] for e in timed]
assert times == sorted(times) and times[0] == 0 and times[-1] < 120e6
seen_by_kernel = 0 # whoever sees it first asks the others, who may hear of it so before their own kernel tells them
for rank in range(4):
    mine = [e for e in timed if e["pid"] == rank]
    calls = [e for e in mine if e["ph"] == "b"]
    ends = {e["id"]: e for e in mine if e["ph"] == "e"}
    assert sum(e["name"] == "allreduce" for e in calls) > 1, rank
    unfinished = [e for e in calls if e["id"] not in ends]
    assert len(unfinished) <= (rank == 2), (rank, unfinished)
    seqs = [e["args"]["seq"] for e in calls]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), rank
    assert all(e["args"]["outcome"] == "success" for e in ends.values())
    if rank == 2:
        continue
    phases = [e for e in mine if e["ph"] == "X" and e["args"]["epoch"] == 1]
    assert [p["name"] for p in phases] == ["freeze", "decision", "install"], phases
    assert all(p["dur"] >= 0 and p["args"]["members"] == 3 for p in phases)
    evidence = [e["args"] for e in mine if e.get("cat") == "evidence" and e["args"]["rank"] == 2]
    seen_by_kernel += any("kernel" in a["evidence"] for a in evidence)
    assert any(a["evidence"] == "certified dead" and a["epoch"] == 1 for a in evidence), evidence
    steps = [e["name"] for e in mine if e["ph"] == "i" and e.get("cat") == "members"]
    assert "frozen" in steps and "install" in steps, steps
assert seen_by_kernel
END

run "$artrun" -n 2 --trace /no/such/place/t.json true
[ $rc = 125 ] && grep -q '^artrun: cannot write the trace to /no/such/place/t.json: No such file' err ||
	complain "a place that is not there: exit status $rc"
run "$artrun" -n 2 --trace plain.json true
[ $rc = 0 ] && [ "$(tail -n 1 plain.json)" = "]}" ] || complain "no ART program: exit status $rc"
run env ART_TRACE=/no/such/place "$programs/t_alone"
[ $rc = 0 ] && grep -q 'nothing of this rank will be in the trace: /no/such/place: No such file' err ||
	complain "ART_TRACE that is not there: exit status $rc"
# Garbage among the files is left out.
printf 'begin\n' >&"$gate"
run "$artrun" -n 2 --trace odd.json sh -c \
	'head -c 5000 /dev/urandom >"$ART_TRACE/9.9.trace"; : >"$ART_TRACE/8.8.trace"; exec "$0" busy "$1"' \
	"$programs/t_gate" gate
[ $rc = 0 ] && grep -q '"name":"allreduce"' odd.json || complain "garbage beside it: exit status $rc"
[ -z "$python" ] || "$python" -c 'import json; json.load(open("odd.json"))' || complain "odd.json is no JSON"
verdict
