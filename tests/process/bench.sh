#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: art-bench. All operations run and are checked for every type and operator, alone and as
# a job; a wrong command line is one sentence; the JSON is JSON; a signal ends it without complaints.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
bench=$build/art-bench

run "$artrun" -n 3 "$bench" all --sizes 8:64 --iters 5
[ $rc = 0 ] || complain "all: exit status $rc"
[ "$(grep -cE '^ +[0-9]+ +5 ' out)" = 13 ] || complain "all: not 3 x 4 sizes and a barrier"

run "$artrun" -n 3 "$bench" allreduce --sizes 8:64 --iters 5 --no-raw
[ $rc = 0 ] || complain "--no-raw: exit status $rc"
[ "$(grep -cE '^ +[0-9]+ +5 .* - +- +- +-$' out)" = 4 ] || complain "--no-raw: yardsticks, or not 4 sizes"

run "$bench" all --sizes 8:16 --iters 3 --json
[ $rc = 0 ] || complain "alone: exit status $rc"
python=$(command -v python3)
[ -z "$python" ] || "$python" - out <<'END' || complain "the JSON is not as documented"
import json, sys
all = json.load(open(sys.argv[1]))
assert [o["op"] for o in all] == ["allreduce", "bcast", "reduce", "barrier"]
for row in all[0]["sizes"]:
    assert row["median"] <= row["p90"] <= row["p99"] <= row["max"] and row["bytes_per_s"] > 0
assert [row["bytes"] for row in all[0]["sizes"]] == [8, 16]
END

for type in int8 int16 int32 int64 uint8 uint16 uint32 uint64 float double; do
	echo "--type $type"
done >cases
for operator in sum prod min max land lor lxor band bor bxor; do
	echo "--type int32 --operator $operator"
done >>cases
# Under a sanitizer the start of each takes seconds; what differs here is checked by unit/test_combine.
case ${ART_BUILD:-normal} in
asan | tsan) sed -n '1~5p' cases >few && mv few cases ;;
esac
while read -r options; do
	echo "\"$bench\" allreduce reduce --sizes 8:512 --iters 1 $options >/dev/null || exit 1"
done <cases >all.sh
# Each line is a job of one; a few are jobs of three ranks.
run bash all.sh
[ $rc = 0 ] || complain "a type and operator fails alone"
for options in "--type int8 --operator prod" "--type uint16 --operator max" \
	"--type float --operator prod" "--type double --operator sum" "--type int32 --operator lxor"; do
	run "$artrun" -n 3 "$bench" allreduce reduce bcast --sizes 8:64 --iters 3 $options
	[ $rc = 0 ] || complain "$options: exit status $rc"
done

wrong() { # SENTENCE ARGUMENTS...
	local sentence=$1
	shift
	run "$artrun" -n 3 "$bench" "$@"
	[ $rc = 2 ] || complain "$*: exit status $rc"
	[ "$(cat err)" = "art-bench: $sentence; see art-bench --help" ] || complain "$*: another sentence"
}
wrong "there is no benchmark 'alltoall'" alltoall
wrong "'8x' is no range of sizes, such as 8:1M" allreduce --sizes 8x
wrong "'-8' is no size from 1 to 16G" allreduce --sizes=-8
wrong "the first of the sizes 1M:8 is above the last" allreduce --sizes 1M:8
wrong "12 bytes are no whole number of uint64" allreduce --sizes 12
wrong "there is no type 'int'" allreduce --type int
wrong "the operator band is not defined for float" reduce --type float --operator band
wrong "'idle' runs alone" idle barrier
wrong "12 bytes are no whole number of uint64" recover --bytes 12
wrong "'1Mx' is no size from 1 to 16G" recover --bytes 1Mx
wrong "no operation was named"
wrong "'--fast' is not understood" allreduce --fast

# ---- algorithms: every result is checked ----
for algorithm in tree tree:3 chain doubling ring rabenseifner doubletree; do
	run env ART_TRANSPORT=tcp ART_COLL_ALLREDUCE=$algorithm "$artrun" -n 3 "$bench" allreduce \
		--type float --sizes 4:512K --iters 2
	[ $rc = 0 ] && [ -s out ] || complain "ART_COLL_ALLREDUCE=$algorithm: exit status $rc"
done
run env ART_TRANSPORT=tcp ART_COLL_BCAST=chain ART_COLL_REDUCE=chain "$artrun" -n 4 "$bench" bcast reduce \
	--sizes 8:512K --iters 2
[ $rc = 0 ] && [ -s out ] || complain "chain: exit status $rc"
for n in 4 5; do
	run env ART_TRANSPORT=tcp ART_COLL_BCAST=scatter ART_COLL_ALLREDUCE=rabenseifner "$artrun" -n $n "$bench" \
		bcast allreduce --sizes 4K:512K --iters 1
	[ $rc = 0 ] && [ -s out ] || complain "scatter, rabenseifner, $n ranks: exit status $rc"
done
run env ART_TRANSPORT=tcp ART_COLL_BCAST=doubletree ART_COLL_REDUCE=doubletree "$artrun" -n 6 "$bench" bcast reduce \
	--sizes 64:512K --iters 2
[ $rc = 0 ] && [ -s out ] || complain "doubletree: exit status $rc"
run env ART_COLL_ALLREDUCE=circle "$artrun" -n 2 "$bench" allreduce --iters 1
[ $rc != 0 ] && grep -q 'ART_COLL_ALLREDUCE=circle is not one of: auto, tree, tree:2 to tree:16, chain, doubling, ring' err ||
	complain "an algorithm that there is not is accepted"
run "$artrun" -n 3 bash -c "[ \$ART_RANK != 1 ] || export ART_COLL_ALLREDUCE=ring
	exec '$bench' allreduce --sizes 64K:64K --iters 1"
[ $rc != 0 ] && grep -q 'ranks called different operations' err || complain "ranks with different algorithms are not told"

# ---- a table of algorithms: measured, then used; what is wrong with one is said ----
export ART_TRANSPORT=tcp
run "$artrun" -n 4 "$bench" --tune=table --sizes 64K:128K --budget 1
[ $rc = 0 ] && [ ! -e table.part ] || complain "--tune: exit status $rc"
[ "$(grep -cE '^# (bcast|reduce|allreduce) (65536|131072):( [a-z:0-9]+ [0-9.]+)+; [0-9]+ rounds; [a-z:0-9]+$' table)" = 6 ] &&
	grep -qx 'ranks 4' table && grep -qx 'hosts 1' table && grep -qx 'transport tcp' table &&
	[ "$(grep -cE '^(bcast|reduce|allreduce) [0-9]+ [a-z:0-9]+$' table)" -ge 3 ] || complain "--tune: the table is another"
run env ART_TUNING="$dir/table" "$artrun" -n 4 "$bench" allreduce bcast --sizes 32K:256K --iters 2
[ $rc = 0 ] && [ ! -s err ] || complain "the table is not used: exit status $rc"
printf 'ranks 4\nallreduce max ring\n' >ring
run "$artrun" -n 4 bash -c "[ \$ART_RANK != 1 ] || export ART_TUNING='$dir/ring'
	exec '$bench' allreduce --sizes 64K:64K --iters 1"
[ $rc != 0 ] && grep -q 'ranks called different operations' err || complain "ranks with different tables are not told"
run "$artrun" -n 4 bash -c "[ \$ART_RANK != 1 ] || export ART_TUNING='$dir/ring'
	export ART_COLL_ALLREDUCE=chain; exec '$bench' allreduce --sizes 64K:64K --iters 1"
[ $rc = 0 ] || complain "what is forced does not win over the table"
run env ART_TUNING="$dir/ring" "$artrun" -n 9 "$bench" barrier --iters 1
[ $rc = 0 ] && grep -q 'ring has nothing for about 9 ranks' err || complain "a table for other jobs is not told"
printf 'ranks 4\nallreduce 8 circle\n' >circle
run env ART_TUNING="$dir/circle" "$artrun" -n 2 "$bench" barrier --iters 1
[ $rc != 0 ] && grep -q 'circle:2: of allreduce, not one of: auto, .*: circle' err || complain "a wrong table is accepted"
run "$artrun" -n 3 "$bench" --tune=/nowhere/table --budget 1
[ $rc != 0 ] && grep -q '/nowhere/table.part: No such file' err || complain "--tune: it is not said that FILE cannot be written"
run "$artrun" -n 2 "$bench" --tune
[ $rc = 1 ] && grep -q 'fewer than 3 ranks have nothing to choose from' err || complain "--tune with 2 ranks: exit status $rc"
wrong "barrier has no algorithms to choose from" barrier --tune
unset ART_TRANSPORT

# ---- overlap ----
run "$artrun" -n 2 "$bench" overlap --sizes 4K:8K --iters 5
[ $rc = 0 ] && [ "$(grep -cE '^ +(4096|8192)( +-?[0-9.]+){4}$' out)" = 2 ] || complain "overlap: exit status $rc"
run "$artrun" -n 3 "$bench" overlap --iters 3 --json
[ $rc = 0 ] && grep -qE '"bytes": 1048576, .*"percent": -?[0-9.]+}$' out || complain "overlap --json: exit status $rc"

# ---- losses ----
run "$artrun" -n 4 "$bench" recover --kills 2 --json
[ $rc = 0 ] && [ "$(wc -l <out)" = 2 ] || complain "recover: exit status $rc"
cp out recover.json
run "$artrun" -n 4 "$bench" recover --bytes 1M --json
[ $rc = 0 ] && [ "$(wc -l <out)" = 1 ] || complain "recover --bytes 1M: exit status $rc"
cp out large.json
run "$artrun" -n 3 "$bench" recover --bytes 64K
[ $rc = 0 ] && grep -qE '^recover: 3 ranks, 65536 bytes, .*; without a loss [0-9.]+ ms, so -?[0-9.]+ ms more; ' out ||
	complain "recover --bytes 64K: exit status $rc, or another line"
run env ART_PROFILE=fast "$artrun" -n 4 "$bench" detect --json
[ $rc = 0 ] && [ "$(wc -l <out)" = 2 ] || complain "detect: exit status $rc"
cp out detect.json
run "$artrun" -n 3 "$bench" agree shrink --iters 20
[ $rc = 0 ] && [ "$(grep -cE '^ +0 +20 ' out)" = 2 ] || complain "agree, shrink: exit status $rc"
[ -z "$python" ] || "$python" - <<'END' || complain "recover, detect: the JSON is not as documented"
import json
sizes = []
for line in [*open("recover.json"), *open("large.json")]:
    r = json.loads(line)
    sizes.append(r["bytes"])
    assert r["without_loss_ms"] > 0 and abs(r["ms"] - r["without_loss_ms"] - r["more_ms"]) < 0.002, r
    phases = r["phases_ms"]
    assert list(phases) == ["detection", "freeze", "decision", "install", "replay"]
    # a rank that had the result before the change has the total only
    assert abs(sum(phases.values()) - r["ms"]) < 0.01 or sum(phases.values()) == 0, r
assert sizes == [8, 8, 1 << 20], sizes
stop, kill = [json.loads(line) for line in open("detect.json")]
assert (stop["signal"], kill["signal"]) == ("SIGSTOP", "SIGKILL") and stop["victim"] != kill["victim"]
assert 90 < stop["first_ms"] <= stop["last_ms"] <= stop["result_ms"], stop # the bound is 100
assert 0 < kill["first_ms"] <= kill["last_ms"] <= kill["result_ms"], kill
END

begin "$artrun" -n 3 "$bench" allreduce --sizes 8 --iters 3000000
await grep -q '^# art-bench' out || complain "the long benchmark did not begin"
kill -TERM "$job"
finish
[ $rc = 143 ] || complain "ended by a signal: exit status $rc"
! grep -q 'wrong result' err || complain "ended by a signal: somebody says that a result is wrong"
verdict
