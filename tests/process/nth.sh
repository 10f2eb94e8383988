#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the n-th request of ART for memory, a descriptor, a watch on one, a thread, a mapping
# or a process fails - once, or all from the n-th on - in a rank, in artrun and in art-bench, for
# n = 1, 2, ... until no request is left to fail. Each job must end by itself: with right results,
# or with an error in words; it must not crash, and nothing may be left behind. Also: transfers of
# one byte, and calls that are interrupted most of the time.
#
#   nth.sh                        a sample: NTH_MAX (default 5) n of each who, kind and mode
#   nth.sh --all                  every n (minutes)
#   nth.sh job|bench WHO:KIND:N[:MODE]...   as a failure prints it, e.g. job rank1:alloc:17:from
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

shim=$build/tests/lib/.libs/failnth.so
max=${NTH_MAX:-5}

case ${ART_BUILD:-normal} in
asan | tsan)
	echo "the sanitizers have a malloc of their own"
	exit 77
	;;
esac
[ -e "$shim" ] || { echo "nth: $shim is not there; build it first" >&2; exit 1; }

shared_memory() { find /dev/shm -maxdepth 1 -iname '*art*' 2>/dev/null | sort; }
# Whoever has this job's directory in its command line. (Not the `timeout` that run() is in: it has
# ended.)
leftovers() { grep -lsa -- "$dir/[m]ark" /proc/[0-9]*/cmdline | tr '\n' ' '; }

# A rank that has no descriptor for good, or can watch none, has no connections, and leaves the job when
# making one has taken that long.
starved() { [[ $1 == rank*:fd:*:from || $1 == rank*:watch:*:from ]]; }
connect_wait() { starved "$1" && echo 1 || echo 10; }

# What is run: a job of three ranks, or art-bench.
command_for() {
	case $1 in
	bench) echo "$artrun -n 2 $build/art-bench allreduce --sizes 8:4096 --iters 5" ;;
	job) echo "$artrun -n 3 $programs/t_nth 60 $dir/mark" ;;
	esac
}

# job WHAT COORDINATE: runs it; `fired` is 1 if something failed in it, `count` how many requests.
job() {
	rm -f report
	run env ART_ERRORS=warn ART_CONNECT_WAIT=$(connect_wait "$2") FAILNTH="$2" FAILNTH_REPORT="$dir/report" \
		LD_PRELOAD="$shim" $(command_for "$1" "$2")
	fired=$(grep -c '^fired$' report 2>/dev/null)
	count=$(sed -n 's/^count //p' report 2>/dev/null | tail -n 1)
	jobs_run=$((jobs_run + 1))
}

# Every rank said how it ended, once; and whoever ended with an error did so in words.
judge() { # WHAT COORDINATE
	local why=
	if [ $rc = 124 ] || [ $rc = 137 ]; then
		why="does not end"
	elif grep -qE 'ssertion|Sanitizer|was killed by signal|terminate called' out err; then
		why="crashes"
	elif grep -q WAITS out; then
		why="waits for ever"
	elif grep -q WRONG out; then
		why="gets something wrong"
	elif [ $rc != 0 ] && ! grep -qE '^(art|artrun|art-bench)\b.*: .*[a-z]' err; then
		why="exits with $rc without a word"
	elif [ "$1" = job ] && [ $rc = 0 ] && ! grep -q ': done$' out; then
		why="exits with 0, but no rank has done its work"
	elif grep -q ': art_[a-z]*: ' out && ! grep -q '^art: ' err; then
		why="returns an error without a word"
	elif [ -n "$(leftovers)" ]; then
		why="leaves processes behind: $(leftovers)"
	elif [ "$(shared_memory)" != "$shm_before" ]; then
		why="leaves shared memory behind: $(shared_memory)"
	fi
	# Hundreds of lines are as good as none.
	[ -n "$why" ] || [ "$(wc -l <err)" -lt 200 ] || why="says the same again and again"
	[ -z "$why" ] || complain "$why; to repeat: tests/process/nth.sh $1 $2"
}

# The n to try of 1..COUNT: all, or max of them, the first and the last among them.
sample() { # COUNT
	local i
	if [ "$max" = 0 ] || [ "$1" -le "$max" ]; then
		seq 1 "$1"
		return
	fi
	for ((i = 0; i < max; i++)); do
		echo $((1 + i * ($1 - 1) / (max - 1)))
	done
}

# How many requests there are is measured in an undisturbed job first; chance moves the number a
# little, so an n that is not reached any more is none to complain about.
sweep() { # WHAT WHO KIND
	local n mode total reached=0 max=$max
	job "$1" "$2:$3:1000000000"
	[ $rc = 0 ] || complain "$1 fails undisturbed ($rc)"
	total=${count:-0}
	for mode in once from; do
		! starved "$2:$3:0:$mode" || [ "$max" = 0 ] || max=3
		for n in $(sample "$total"); do
			job "$1" "$2:$3:$n:$mode"
			judge "$1" "$2:$3:$n:$mode"
			reached=$((reached + fired))
		done
	done
	echo "$1: $2:$3: $total requests, $reached failures injected"
	[ "$total" -gt 0 ] || return 0
	[ $reached -gt 0 ] || complain "nothing of $2:$3 was made to fail"
}

hamper() { # WHAT COORDINATE
	job "$1" "$2"
	judge "$1" "$2"
	[ $rc = 0 ] || complain "$1 under $2 exits with $rc"
	[ "$fired" = 1 ] || complain "$2 hampered nothing"
	echo "$1: $2"
}

everything() {
	local kind
	for kind in alloc fd watch thread mmap; do
		sweep job rank1 $kind
		sweep job artrun $kind
	done
	sweep job artrun fork
	sweep bench rank0 alloc
	sweep bench rank0 fd
	for who in rank0 artrun; do
		hamper job $who:byte:50
		hamper job $who:eintr:3
	done
}

jobs_run=0
shm_before=$(shared_memory)
case ${1-} in
--all)
	max=0
	everything
	;;
'') everything ;;
*)
	what=job
	for coordinate in "$@"; do
		case $coordinate in bench | job) what=$coordinate; continue ;; esac
		job $what "$coordinate"
		judge $what "$coordinate"
		cat out err
		echo "$coordinate: exit status $rc, fired $fired"
	done
	;;
esac
echo "$jobs_run jobs"
verdict
