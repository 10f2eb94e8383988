#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: threads that help with large operations: as many as ART_WORKERS says, by default on cores that no
# rank needs; with and without them results have the same bits; a rank may die meanwhile; they do not run while
# there is nothing to do.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

cores() { "$artrun" -n 1 sh -c 'echo $ART_CORES'; }

# helped WORKERS RANKS WANTED [apart]: what the ranks of a job have, into bits
helped() {
	run env ART_WORKERS="$1" "$artrun" -n "$2" "$programs/t_workers" "${@:3}"
	[ $rc = 0 ] || complain "$case: ART_WORKERS=$1, $2 ranks: exit status $rc"
	[ "$(wc -l <out)" = "$2" ] || complain "$case: not a line of each rank"
	sort out >bits
}

same_bits() { # RANKS
	local with without
	helped 0 "$1" 0
	without=$(cat bits)
	for with in 1 3 auto; do
		helped $with "$1" "${with/auto/any}"
		is "$1 ranks with $with" "$(cat bits)" "$without"
	done
}

t_shared_memory() {
	same_bits 2
	same_bits 4
}
t_messages() { ART_TRANSPORT=tcp same_bits 3; }

# One rank has all cores but one for its threads; where each core has a rank there are none.
t_default() {
	local n
	n=$(cores)
	helped auto 1 $((n > 5 ? 4 : n - 1)) apart
	[ "$n" -gt 8 ] || helped auto "$n" 0
	[ "$n" -gt 8 ] || helped auto $((n + 1)) 0
}

# killed VICTIM: of 3 ranks, in round 2 of 40 or not long after; it waits for that in round 20
killed() {
	begin env ART_WORKERS=2 ART_ERRORS=return "$artrun" -n 3 "$programs/t_large" $((5 << 20)) 40 allreduce "$1"
	until_said out "^rank $1 enters round 2"
	kill -KILL "$(pid_of "$1")"
	finish
	is "rank $1 killed: exit status" $rc 0
	[ "$(grep -c 'has a result of 2$' out)" -ge 2 ] || complain "$case: no results without rank $1"
}
t_killed() { killed 0; killed 2; }

t_words() {
	for bad in nonsense '' -1 17 1x; do
		ART_WORKERS=$bad run "$programs/t_args"
		[ $rc != 0 ] && grep -q "ART_WORKERS=$bad is not auto, or a number up to 16" err ||
			complain "ART_WORKERS=$bad is not refused"
	done
}

run_cases "$@"
