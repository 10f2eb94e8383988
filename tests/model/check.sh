#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: spin checks the model of a collective across view changes (change.pml says what is
# in it): clean at the sizes that fit into two minutes, and each shortcut of tests/sim/mutants.c is
# caught at the smallest size that shows it.
#
#   check.sh            as in ./runtests
#   check.sh --long     larger sizes, too: minutes to hours, gigabytes (MODEL_MIB, default 8000)
#   check.sh OP N CHANGES BALLOTS CRASHES FALSE LATE MUTANT    one of them, as a failure prints it;
#                       a shortcut's run is printed as a story
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mib=${MODEL_MIB:-1000}
for needed in spin gcc; do
	command -v $needed >/dev/null || { echo "$needed is not installed"; exit 77; }
done
dir=$(mktemp -d) || exit 1
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
side_by_side=$(nproc 2>/dev/null || echo 2)
cases=0

# check OP N CHANGES BALLOTS CRASHES FALSE LATE MUTANT: `errors` as spin counts them, 0 or 1; empty
# if the state space was not searched to its end. In a directory of its own.
check() {
	local defines="-DOP=$1 -DN=$2 -DCHANGES=$3 -DBALLOTS=$4 -DCRASHES=$5 -DFALSE=$6 -DLATE=$7"
	defines="$defines -DMUTANT=$8"
	cp "$here/change.pml" .
	# shellcheck disable=SC2086  # words
	spin $defines -a change.pml >out 2>&1 &&
		gcc -O2 -w -DSAFETY -DMEMLIM="$mib" -o pan pan.c >>out 2>&1 &&
		./pan -m100000 >>out 2>&1
	errors=
	grep -qE 'max search depth too small|reached -DMEMLIM bound|out of memory' out ||
		errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' out)
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+]*\) .*/\1/p' out)
}

complain() {
	echo "FAIL: $*"
	sed 's/^/    /' out | tail -n 15
}

clean_case() {
	check "$@" 0
	[ "$errors" = 0 ] || complain "no clean end; to repeat: tests/model/check.sh $* 0"
	echo "clean: $1, $2 ranks, $3 changes, $4 ballots, $5 crashes, suspicion $6, late $7:" \
		"$states states, $seconds s"
}

caught_case() { # MUTANT ...
	local mutant=$1
	shift
	check "$@" "$mutant"
	[ "$errors" = 1 ] || complain "M$mutant lives; to repeat: tests/model/check.sh $* $mutant"
	echo "M$mutant caught: $1, $2 ranks, $4 ballots:" \
		"$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' out | cut -c1-60)," \
		"$states states, $seconds s"
}

passes_case() { # MUTANT WHY ...
	local mutant=$1 why=$2
	shift 2
	check "$@" "$mutant"
	[ "$errors" = 0 ] || complain "M$mutant: $why; to repeat: tests/model/check.sh $* $mutant"
	echo "M$mutant passes: $1, $2 ranks, $4 ballots: $states states, $seconds s"
}

# in_turn CASE ...: begun as soon as fewer than side_by_side others run.
in_turn() {
	cases=$((cases + 1))
	mkdir "$cases" || exit 1
	while [ "$(jobs -pr | wc -l)" -ge "$side_by_side" ]; do
		wait -n
	done
	(cd "$cases" && "$@" >report) &
}
clean() { in_turn clean_case "$@"; }
caught() { in_turn caught_case "$@"; }
passes() { in_turn passes_case "$@"; }

# What the cases have said, in their order. A case that said nothing did not end.
reports() {
	local i failures=0
	wait
	for ((i = 1; i <= cases; i++)); do
		cat "$i/report"
		if [ ! -s "$i/report" ] || grep -q '^FAIL' "$i/report"; then
			failures=$((failures + 1))
		fi
	done
	echo "$cases cases, $failures failed"
	[ $failures = 0 ]
}

# OP N CHANGES BALLOTS CRASHES FALSE LATE
in_short() {
	clean ALLREDUCE 2 1 1 1 1 1
	clean ALLREDUCE 3 1 1 1 1 0
	clean REDUCE 3 1 1 1 1 0
	clean BCAST 3 1 1 1 1 0
	clean NOTHING 3 1 2 1 1 1
	clean NOTHING 5 1 2 2 2 1
	caught 1 ALLREDUCE 3 1 1 1 1 0
	caught 2 ALLREDUCE 3 1 2 1 1 0
	caught 3 ALLREDUCE 3 1 1 1 1 0
	caught 4 ALLREDUCE 3 1 1 1 1 0
	caught 5 ALLREDUCE 3 1 2 1 1 0
	caught 6 ALLREDUCE 3 1 2 0 1 0
	caught 8 ALLREDUCE 3 1 1 1 1 0
	caught 9 ALLREDUCE 3 1 2 1 1 0
	# It passes with four ranks: the smaller denominator splits the brain from five on.
	caught 10 NOTHING 5 1 2 2 2 1
	passes 10 "was thought to show with five ranks only" NOTHING 4 1 2 2 2 1
}

in_long() {
	mib=${MODEL_MIB:-8000}
	for op in ALLREDUCE REDUCE BCAST; do
		clean $op 3 1 2 1 0 0
		clean $op 3 2 2 1 0 0
		clean $op 3 1 2 1 1 1
		clean $op 4 1 1 1 1 0
	done
	clean NOTHING 4 1 2 2 1 1
}

case $#:${1-} in
0:) in_short; reports ;;
1:--long) in_short; in_long; reports ;;
8:*)
	check "$@"
	[ "$8" = 0 ] || spin -t -p -g -DOP="$1" -DN="$2" -DCHANGES="$3" -DBALLOTS="$4" \
		-DCRASHES="$5" -DFALSE="$6" -DLATE="$7" -DMUTANT="$8" change.pml | tail -n 200
	tail -n 30 out
	;;
*) sed -n '/^#   /s/^# *//p' "$0"; exit 2 ;;
esac
