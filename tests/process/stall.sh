#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: nothing hangs unseen. While one rank has not come to an allreduce, one line names it
# and the call; when it comes, the job goes on as if nothing had been.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
export ART_STALL=2

mkfifo gate
exec {gate}<>gate # both ends, so that neither opening nor writing it waits for the job

stalled() { # WHO, of 4
	begin "$artrun" -n 4 "$programs/t_gate" late "$1" gate
	await grep -q "rank $1 has not entered allreduce 1\$" err ||
		complain "rank $1 is late and no line names it"
	printf . >&"$gate"
	finish
	[ $rc = 0 ] || complain "rank $1 was late: exit status $rc"
	! grep 'not entered' err | grep -qv "rank $1 has not entered allreduce 1\$" ||
		complain "somebody else than rank $1 is named"
}

for who in 0 2 3; do
	stalled $who
done
verdict
