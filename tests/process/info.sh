#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: art-info. It tells settings with their origin; while a job hangs it tells who waits in
# which operation for whom, also when a rank is lost or its process is stopped; ART_STATUS=off hides a
# rank; and nothing of all that disturbs the job.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
info=$build/art-info
export ART_CONFIG=

mkfifo gate
exec {gate}<>gate

has() { # FILE PATTERN WHAT
	grep -qE "$2" "$1" || { complain "$3: not in the output: $2"; sed 's/^/    info: /' "$1"; }
}
started() { [ "$(grep -c 'is process' out)" = 4 ]; }
patience=60 # seconds for an answer, which comes at once but on a busy machine
tells() { # PATTERN, in the text for the job
	"$info" --job "$(pid_of 0)" --details --wait $patience >told 2>&1
	grep -qE "$1" told
}
expect() { # PATTERN WHAT
	await tells "$1" || { complain "$2: art-info never tells: $1"; sed 's/^/    info: /' told; }
}
logs() { # PATTERN: what a rank has written comes through artrun
	await grep -qE "$1" err || complain "log: there is no '$1'"
}

# ---- without a job ----
printf 'stall = 3 # seconds\n' >art.conf
ART_FT=off ART_CONFIG=$dir/art.conf "$info" --all >told
has told '^ART [0-9]+\.[0-9]+\.[0-9]+$' version
has told 'usable cores +[0-9]+' topology
has told "stall = 3  \[$dir/art.conf:1\]" 'origin file'
has told 'ft = off  \[environment\]' 'origin environment'
has told 'log = warn  \[default\]' 'origin default'
printf 'stall = soon\n' >art.conf
ART_CONFIG=$dir/art.conf "$info" --all >told 2>&1 && complain "a bad file is accepted"
has told "$dir/art.conf:1: stall = soon is not seconds" 'bad file'
"$info" --job 0 >told 2>&1
[ $? = 1 ] || complain "a job that is not there: exit status"
has told "no rank of '0' was found" 'no job'
"$info" --watch x >told 2>&1
[ $? = 2 ] || complain "bad arguments: exit status"

# ---- a rank that does not come ----
begin "$artrun" -n 4 "$programs/t_gate" late 2 gate
await started || complain "the job did not start"
expect 'allreduce 1 on world: 3 of 4 have entered' 'late rank'
has told 'rank 2: outside ART since [0-9.]+ s' 'late rank'
has told '4 ranks, 4 found here, 4 answered, epoch 0' 'late rank'
"$info" --job "$(pid_of 1)" --json --wait $patience >told
python=$(command -v python3)
[ -z "$python" ] || "$python" - told <<'END' || complain "the JSON is not as documented"
import json, sys
job, = json.load(open(sys.argv[1]))
wait, = job["waiting"]
assert (wait["op"], wait["seq"], wait["comm"]) == ("allreduce", 1, "world"), wait
assert wait["entered"] == [[0, 1], [3, 3]] and wait["entered_count"] == 3, wait
assert [m["rank"] for m in wait["missing"]] == [2], wait
assert len(job["ranks"]) == 4 and job["lost"] == []
for r in job["ranks"]:
    a = r["answer"]
    assert a["transport"]["data"]["counts"]["refused-garbage"] == 0
    assert a["members"] == [[0, 3]] and a["memory_bytes"] > 0 and a["shared_bytes"] > 1 << 20 and a["comms"][0]["world"]
END
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "the job that was looked at: exit status $rc"
"$info" --job >told 2>&1 </dev/null
! grep -q "process $(pid_of 0):" told || complain "the job is over and still told"

# ---- a stopped rank, a lost one (t_gate wants all and fails then, which is not the point) ----
export ART_LOG=info ART_BOUND=30 # a stopped one stays a member for so long
begin "$artrun" -n 4 "$programs/t_gate" late 2 gate
export ART_LOG=warn ART_BOUND=
await started || complain "the job did not start"
expect '3 of 4 have entered' 'stopped rank'
printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >over_there
chmod +x over_there
ART_RSH=$dir/over_there "$info" --job "$(pid_of 0)" --hosts elsewhere --wait $patience >told 2>&1 ||
	complain "another host's ranks: exit status"
has told '3 of 4 have entered' "another host's ranks"
ART_RSH=false "$info" --job "$(pid_of 0)" --hosts nowhere >told 2>&1
has told '^art-info: nowhere cannot be asked' "a host that does not answer"
kill -KILL "$(pid_of 1)"
expect 'epoch 1, lost: 1$' 'lost rank'
expect 'allreduce 1 on world: 2 of 4 have entered' 'lost rank'
has told 'rank 1: lost' 'lost rank'
logs 'rank 0\] info: rank 1 is dead'
logs 'rank 0\] info: view 1: 3 members, left: 1 \(certified dead\); [0-9.]+ ms after the first'
logs 'rank 0\] info: view 1: allreduce 1 \(comm [0-9a-f]+\) runs again among the members'
kill -STOP "$(pid_of 3)"
patience=1 # it does not answer
expect 'rank 3, process [0-9]+: no answer \(stopped\)' 'stopped rank'
expect 'finds stopped, for [0-9.]+ s of 30.0 s: rank 3$' 'stopped rank'
patience=60
kill -CONT "$(pid_of 3)"
printf . >&"$gate"
finish

# ---- a job at work, asked without end, and one that wants no questions ----
begin "$artrun" -n 4 "$programs/t_gate" busy gate
await started || complain "the job did not start"
for ((i = 0; i < 15; i++)); do
	"$info" --job "$(pid_of 0)" --wait $patience >told 2>&1 || complain "question $i: not answered"
done
has told '4 answered' 'job at work'
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "the job that was asked 15 times: exit status $rc"

export ART_STATUS=off
begin "$artrun" -n 4 "$programs/t_gate" late 2 gate
await started || complain "the job did not start"
"$info" --job "$(pid_of 0)" >told 2>&1 && complain "ART_STATUS=off, and there is an answer"
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "ART_STATUS=off: exit status $rc"
verdict
