#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the programs t_* that test the API as its callers see it, each by itself, without a
# launcher, and as jobs of 1, 2, 3, 4 and 7 ranks.
#   api.sh [PROGRAM...]    e.g. api.sh args words
# API_RANKS=N,... asks for jobs of other sizes.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

sizes=${API_RANKS:-1,2,3,4,7}
sizes=${sizes//,/ }

# t_alone is about jobs of one: artrun has no part in it.
check() { # PROGRAM
	run "$programs/t_$1"
	[ $rc = 0 ] || complain "t_$1 without a launcher: exit status $rc"
	[ "$1" != alone ] || return
	for ranks in $sizes; do
		run "$artrun" -n $ranks "$programs/t_$1"
		[ $rc = 0 ] || complain "artrun -n $ranks t_$1: exit status $rc"
	done
}

[ $# -gt 0 ] || set -- alone args comms flags handles losses mirror nonblocking refused threads types userop words
for program in "$@"; do
	check "$program"
done
verdict
