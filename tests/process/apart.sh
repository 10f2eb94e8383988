#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: where the service thread of a rank runs, and that large nonblocking operations pass while
# a rank computes and calls nothing: each rank with a CPU of its own, not bound, and more ranks than cores.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

mkfifo told || exit 1

job() { # HOW OPTION...
	local how=$1
	shift
	run "$artrun" "$@" "$programs/t_apart" told
	[ $rc = 0 ] && grep -qx "$how" out || complain "artrun $* t_apart: exit status $rc, not $how"
}

run "$artrun" -n 1 sh -c 'echo $ART_CORES'
cores=$(cat out)
# As many ranks as cores have a CPU each.
[ "$cores" -lt 2 ] || [ "$cores" -gt 8 ] || job apart -n "$cores"
job together -n 2 --bind-to none
job together -n $((cores < 8 ? cores + 1 : 5)) --bind-to none
verdict
