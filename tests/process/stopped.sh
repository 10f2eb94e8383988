#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: one of eight local ranks stops (SIGSTOP). The others finish their operation without it
# when the bound is over, not before; when it goes on it gets ART_ERR_EVICTED. A rank that only
# computes, for three times the bound and without a call, is waited for. The time is printed; the
# limit here is one that a loaded machine keeps, too.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

stop() { # PROFILE BOUND_MS
	local took
	rm -f flag flag.when
	run env ART_PROFILE="$1" ART_ERRORS=return "$artrun" -n 8 "$programs/t_stopped" stop "$dir/flag"
	took=$(sed -n 's/^slowest \([0-9]*\) ms$/\1/p' out)
	[ $rc = 0 ] && [ -n "$took" ] || { complain "profile $1: exit status $rc"; return; }
	echo "profile $1, bound $2 ms: SIGSTOP to the end of the slowest survivor's operation $took ms"
	[ "$took" -ge $(($2 * 9 / 10)) ] || complain "profile $1: given up after $took ms only"
	[ "$took" -le $(($2 + 60000)) ] || complain "profile $1: given up only after $took ms"
	[ -e flag ] || complain "profile $1: the stopped rank was not told"
}

stop fast 100
stop default 500
run env ART_PROFILE=fast "$artrun" -n 8 "$programs/t_stopped" busy 400
[ $rc = 0 ] && grep -qx 'all waited' out || complain "a computing rank: exit status $rc"
run env ART_BOUND=0.2 ART_HEARTBEAT=0.15 "$artrun" -n 2 "$programs/t_stopped" busy 1
[ $rc != 0 ] && grep -q 'ART_HEARTBEAT=0.15 is not seconds' err ||
	complain "a heartbeat longer than half the bound: exit status $rc"
verdict
