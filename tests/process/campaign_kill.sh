#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: N real jobs of 8 ranks in which ranks are killed with SIGKILL at random instants -
# one, the root, two, all but one, during init or finalize, in large messages - and which must
# neither hang nor get a byte wrong nor leave anything behind.
#
#   campaign_kill.sh [N [FIRST_SEED]]      (CAMPAIGN_JOBS or 200, 1)
#
# A job is named by its seed: what it does and who is killed when follow from it, and on failure
# the whole command is printed. The programs are those in ART_BUILDDIR (default: here), or what
# ARTRUN and T_KILLED name. Exit 0 pass, 1 fail.
set -u

jobs=${1:-${CAMPAIGN_JOBS:-200}}
first=${2:-1}
artrun=${ARTRUN:-${ART_BUILDDIR:-.}/artrun}
program=${T_KILLED:-${ART_BUILDDIR:-.}/tests/process/t_killed}
ranks=8
limit=120 # seconds: a job takes well under one; only a hang gets here

for needed in "$artrun" "$program"; do
	if ! command -v "$needed" >/dev/null; then
		echo "campaign_kill: $needed is not there; build it first" >&2
		exit 1
	fi
done
if ! [ "$jobs" -gt 0 ] 2>/dev/null || ! [ "$first" -ge 0 ] 2>/dev/null; then
	echo "usage: campaign_kill.sh [JOBS [FIRST_SEED]]" >&2
	exit 2
fi

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

random_state=0
random() # $1: limit; result in $drawn
{
	random_state=$((random_state * 6364136223846793005 + 1442695040888963407))
	drawn=$((((random_state >> 33) & 0x3fffffff) % $1))
}

# Shared memory of other programs is none of our business: compare with what was there before.
shared_memory() { find /dev/shm -maxdepth 1 -iname '*art*' 2>/dev/null | sort; }

# Processes that have this job's directory in their command line. artrun reaps its ranks before it
# returns, so there is nothing to wait for.
leftovers() { grep -lsa -- "$job/[s]cratch" /proc/[0-9]*/cmdline | tr '\n' ' '; }

failed() # $1: what
{
	echo "FAIL campaign_kill: seed $seed ($plan): $1" >&2
	echo "  to repeat: $artrun -n $ranks $program $arguments" >&2
	sed 's/^/  stdout: /' "$job/out" | tail -n 20 >&2
	sed 's/^/  stderr: /' "$job/err" | tail -n 40 >&2
	exit 1
}

# Chooses who dies when. $span is the length of the run phase of a job without a loss, so that
# the instants fall into it on any machine.
make_plan()
{
	local a b
	kills='' count=0
	random 20; local kind=$drawn
	random $ranks; a=$drawn
	random $((ranks - 1)); b=$(((a + 1 + drawn) % ranks))
	random "$span"; local at=$drawn
	random 2000; local later=$drawn
	large=0
	case $kind in
	0 | 1 | 2 | 3 | 4) plan=one; kills="--kill $a:run:$at"; count=1 ;;
	5 | 6) plan="the root"; kills="--kill 0:run:$at"; count=1 ;;
	7 | 8 | 9) plan="two together"; kills="--kill $a:run:$at --kill $b:run:$at"; count=2 ;;
	10 | 11) plan="one in the other's recovery"
		kills="--kill $a:run:$at --kill $b:run:$((at + later))"; count=2 ;;
	12 | 13) plan="one, large messages"; large=131072
		kills="--kill $a:run:$((at * 4))"; count=1 ;;
	14) plan="all but one"
		for ((r = 0; r < ranks; r++)); do
			random 3000
			[ "$r" = "$a" ] || kills="$kills --kill $r:run:$((at + drawn))"
		done
		count=$((ranks - 1)) ;;
	15 | 16) plan="in init"; random 30000; kills="--kill $a:init:$drawn"; count=1 ;;
	17 | 18) plan="in finalize"; random 500; kills="--kill $a:finalize:$drawn"; count=1 ;;
	19) plan="nobody" ;;
	esac
}

run_job() # result in $status
{
	job=$dir/$seed
	mkdir -p "$job/scratch/tmp" || exit 1
	arguments="--seed $seed --ops 300 --max-count $large --dir $job/scratch $kills"
	# shellcheck disable=SC2086  # the arguments are words
	ART_ERRORS=return TMPDIR=$job/scratch/tmp timeout -k 5 "$limit" \
		"$artrun" -n $ranks "$program" $arguments >"$job/out" 2>"$job/err" </dev/null
	status=$?
}

check_survivors()
{
	local survivors histories
	survivors=$(grep -c ' survived, history ' "$job/out")
	histories=$(sed -n 's/.* survived, history //p' "$job/out" | sort -u | wc -l)
	# A rank killed after it had finalized counts as one that did not return 0.
	[ "$status" -eq 0 ] || { [ "$plan" = "in finalize" ] && [ "$status" -eq 137 ]; } ||
		failed "artrun exited with $status"
	[ "$survivors" -eq $((ranks - count)) ] ||
		failed "$survivors ranks survived, not $((ranks - count))"
	[ "$histories" -eq 1 ] || failed "survivors saw different outcomes"
}

check_job()
{
	[ "$status" -ne 124 ] || failed "still running after $limit s"
	! grep -q '^FAIL' "$job/err" || failed "a rank found a wrong result"
	# A rank that dies before all have met may end the job, but then for everyone and at once.
	if [ "$plan" = "in init" ] && ! grep -q ' survived, ' "$job/out"; then
		[ "$status" -ne 0 ] || failed "artrun exited with 0, but no rank survived"
		refused=$((refused + 1))
	else
		check_survivors
	fi
	[ -z "$(leftovers)" ] || failed "processes left behind: $(leftovers)"
	[ -z "$(ls -A "$job/scratch/tmp")" ] || failed "files left behind: $(ls -A "$job/scratch/tmp")"
	[ "$(shared_memory)" = "$before" ] || failed "shared memory left behind: $(shared_memory)"
	rm -rf "$job"
}

# How long does the run phase take here? The middle of three jobs.
measure()
{
	local spans=
	for seed in 1 2 3; do
		plan=measuring kills='' count=0 large=0
		run_job
		check_survivors
		spans="$spans $(sed -n 's/^rank 0 ran \([0-9]*\) us$/\1/p' "$job/out")"
		rm -rf "$job"
	done
	# shellcheck disable=SC2086
	span=$(printf '%s\n' $spans | sort -n | sed -n 2p)
}

refused=0
before=$(shared_memory)
measure
declare -A hit
last=$((first + jobs - 1))
for ((seed = first; seed <= last; seed++)); do
	random_state=$seed
	random 1000
	make_plan
	run_job
	check_job
	hit[$plan]=$((${hit[$plan]:-0} + 1))
done
echo "campaign_kill: $jobs jobs of $ranks ranks (seeds $first to $last, kills within $span us):"
echo "  no hang, no wrong byte, nothing left behind"
for plan in "${!hit[@]}"; do
	echo "  $plan: ${hit[$plan]}"
done | sort
[ "$refused" -eq 0 ] || echo "  (in init: $refused ended alike for all, before they had met)"
