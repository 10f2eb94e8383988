#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: examples/cg solves its equation also when ranks are killed on the way: at a pause,
# rank 0 included, several at once, while it runs, and again when it starts anew.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

cg=$build/examples/cg
mkfifo input && exec {input}<>input || exit 1

start() { # RANKS ARGUMENT...
	local ranks=$1
	shift
	while read -rt 0.01 -u "$input"; do :; done # what a rank 0 that was killed has left
	: >out
	: >err
	timeout -k 5 100 "$artrun" -n "$ranks" "$cg" --n 24 --pids "$@" >out 2>err <input &
	job=$!
}

shoot() { # RANK...
	local rank
	for rank in "$@"; do
		kill -9 "$(sed -n "s/^cg: rank $rank is process //p" err)" 2>/dev/null
	done
}

# The end of the job: one line, which says that the result is right and fits the pattern $1. A
# rank that is killed after its art_finalize() counts for artrun's exit status: $2.
expect() {
	finish
	[ $rc = 0 ] || [ $rc = "${2-}" ] || complain "$what: exit status $rc"
	[ "$(wc -l <out)" = 1 ] && grep -qE "^24 x 24 x 24 points, .*$1.*: right$" out ||
		complain "$what: not one right result with '$1'"
}

# paused RANKS VICTIM...: killed at a point that all have reached, between two kept iterates.
paused() {
	local ranks=$1 left
	shift
	what="$ranks ranks, killed at a pause: $*"
	left=$((ranks - $#))
	start "$ranks" --pause 25
	await grep -q '^cg: paused after iteration 25:' err || complain "$what: no pause"
	shoot "$@"
	echo >&"$input"
	expect "[1-9] restarts, $left of $ranks ranks"
	grep -q "^cg: back to iteration 20, on" err || complain "$what: did not go back to iteration 20"
}

# Whether the kill comes in time or not, the result is right.
running() { # RANKS VICTIM LINE: killed when LINE has been printed; another one at the restart
	what="$1 ranks, $2 killed at '$3'"
	start "$1" --keep 5
	if await grep -q "$3" err; then
		shoot "$2"
		await grep -q '^cg: back to' err && shoot $(($2 + 1))
	fi
	expect ranks 137
}

what="4 ranks, none killed"
start 4
expect "0 restarts, 4 of 4 ranks"
paused 4 2
paused 4 0
paused 6 1 3 5
running 5 1 'iteration 5,'
running 5 3 'iteration 30,'
verdict
