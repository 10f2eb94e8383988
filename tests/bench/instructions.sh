#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: instructions of an operation of 8 bytes, per rank, counted by callgrind and held against
# tests/bench/instructions.txt. More than 2 % above is a regression; more than 10 % below wants the table
# brought up to date, so that the gain is kept:
#
#	tests/bench/instructions.sh --update      in a build directory, or with ART_BUILDDIR
#
# The counted rank finds all it needs there, so polling is not in the count; nor is the kernel's part of a
# send over TCP. On a busy machine the kernel may be late with what it was given, and the rank polls after
# all: a count is the least of those it takes, up to five, to get below the bound. Or all is there before the
# rank looks at all, and over TCP a barrier and an allreduce take 7 % less.
set -u
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
. "$here/../lib/jobs.sh"
table=$here/instructions.txt
count=400
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }

program=$build/tests/bench/t_instructions
lib=$build/.libs/libart.so

[ "$("$artrun" -n 1 sh -c 'echo $ART_CORES')" -ge 2 ] || { echo "needs a core for each rank"; exit 77; }
nm -D "$lib" | grep -qE '__(asan|tsan)_' && { echo "instrumented code is not what is counted"; exit 77; }
compiler=$(readelf -p .comment "$lib" | sed -n 's/.*\(GCC\|clang\).* \([0-9]*\)\.[0-9].*/\1 \2/p' | head -n 1)

# count_once TRANSPORT OP: per call, or nothing
count_once() {
	rm -f there back counted
	mkfifo there back
	ART_TRANSPORT=$1 run "$artrun" -n 2 sh -c 'case $ART_RANK in
		1) exec valgrind -q --tool=callgrind --toggle-collect=measured --callgrind-out-file=counted "$@" ;;
		*) exec "$@" ;;
		esac' sh "$program" "$2" $count "$dir/there" "$dir/back"
	[ $rc = 0 ] && awk -v n=$count '/^(totals|summary):/ { total = $2 }
		END { if (total > 0) printf "%d\n", total / n }' counted
}

# instructions TRANSPORT OP MOST: the least of some counts, of one if that is MOST at most
instructions() {
	local least='' once
	for _ in 1 2 3 4 5; do
		count_once "$1" "$2" >once
		read -r once <once || return
		[ -n "$least" ] && [ "$least" -le "$once" ] || least=$once
		[ "$least" -gt "$3" ] || break
	done
	echo "$least"
}

# The table's count of TRANSPORT OP, and 2 %; 0 without one.
most() {
	awk -v t="$1" -v o="$2" '$1 == t && $2 == o { most = int($3 * 102 / 100) } END { print most + 0 }' "$table"
}

measure() { # into the file now; "measure update": without regard to the table
	local transport op most
	echo "compiler $compiler" >now
	for transport in shm tcp; do
		for op in barrier bcast reduce allreduce; do
			most=0
			[ "${1-}" = update ] || most=$(most $transport $op)
			instructions $transport $op $most >counts
			[ -s counts ] || complain "$transport $op: no count, exit status $rc"
			echo "$transport $op $(cat counts)" >>now
		done
	done
}

if [ "${1-}" = --update ]; then
	measure update
	[ $failures != 0 ] || { cat now && cp now "$table"; }
	verdict
	exit
fi
[ $# = 0 ] || { echo "usage: instructions.sh [--update]" >&2; exit 2; }
if ! grep -qx "compiler $compiler" "$table"; then
	echo "$compiler made this build, and the table is for $(sed -n 's/^compiler //p' "$table")"
	exit 77
fi
measure
while read -r transport op was; do
	[ "$transport" != compiler ] || continue
	is=$(awk -v t="$transport" -v o="$op" '$1 == t && $2 == o { print $3 }' now)
	[ -n "$is" ] || continue
	[ $((is * 100)) -le $((was * 102)) ] ||
		complain "$transport $op: $is instructions an operation and rank, not $was"
	[ $((is * 100)) -ge $((was * 90)) ] ||
		complain "$transport $op: $is instructions instead of $was: keep the gain with --update"
done <"$table"
cat now
verdict
