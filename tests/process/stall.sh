#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: nothing hangs unseen. While one rank has not come to an allreduce, or to a bcast that its root
# alone has not ended, one line names it and the call; when it comes, the job goes on as if nothing had been.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
export ART_STALL=2

mkfifo gate
exec {gate}<>gate # both ends, so that neither opening nor writing it waits for the job

stalled() { # late|later CALL WHO, of 4
	local said="rank $3 has not entered $2 1\$"

	begin "$artrun" -n 4 "$programs/t_gate" "$1" "$3" gate
	await grep -q "$said" err ||
		complain "rank $3 is late and no line names it"
	printf . >&"$gate"
	finish
	[ $rc = 0 ] || complain "rank $3 was late: exit status $rc"
	# On a busy machine who does not answer in time is named beside it, until it does.
	! grep "not entered $2" err | grep -qvE "ranks? ([0-9]+, )*$3[, ]" || complain "a line does not name rank $3"
	grep "not entered $2" err | tail -n 1 | grep -q "$said" || complain "somebody else than rank $3 is named at last"
}

for who in 0 2 3; do
	stalled late allreduce $who
done
ART_TRANSPORT=tcp stalled later bcast 1
verdict
