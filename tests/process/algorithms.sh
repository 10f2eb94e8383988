#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: a rank is killed while large operations go by each algorithm, over TCP: the others finish all
# of them, and every element of every result is that of its contributors.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
export ART_TRANSPORT=tcp ART_ERRORS=return
results() { grep -c "has a result of $1\$" out; }

# killed VICTIM [bcast|reduce]: in round 2 of 50 or not long after, of 5 ranks; it waits for that in round 25
killed() {
	begin "$artrun" -n 5 "$programs/t_large" $((1 << 20)) 50 ${2-allreduce} "$1"
	until_said out "^rank $1 enters round 2"
	kill -KILL "$(pid_of "$1")"
	finish
	is "rank $1 killed: exit status" $rc 0
	[ "$(results 4)" -ge 4 ] || complain "$case: $(results 4) results without rank $1"
}

t_ring() { ART_COLL_ALLREDUCE=ring killed 2; }
t_rabenseifner() { # one that is folded into a neighbour, one that is not
	ART_COLL_ALLREDUCE=rabenseifner killed 0
	ART_COLL_ALLREDUCE=rabenseifner killed 3
}
t_reduced() { # the same, to rank 0: its neighbour folds into it
	ART_COLL_REDUCE=rabenseifner killed 1 reduce
	ART_COLL_REDUCE=rabenseifner killed 3 reduce
}
t_chain() { ART_COLL_ALLREDUCE=chain killed 1; }
t_doubletree() { # one that passes on what it gets of the first half, one of the second; and the root's kid
	ART_COLL_ALLREDUCE=doubletree killed 1
	ART_COLL_ALLREDUCE=doubletree killed 2
	ART_COLL_REDUCE=doubletree killed 3 reduce
	ART_COLL_BCAST=doubletree killed 4 bcast
}
t_scatter() { # a leaf, one that passes on
	ART_COLL_BCAST=scatter killed 3 bcast
	ART_COLL_BCAST=scatter killed 2 bcast
}

run_cases "$@"
