#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: what happens to links, hosts and processes of a job over several hosts (tests/lab), and
# what must not: processes stopped, hosts frozen and cut off, single links cut in one direction or both,
# partitions that heal and that do not, strangers at the ports, slow and lossy links. Deaths and silent
# hosts as artrun sees them: hosts.sh. Usage: lab_faults.sh [CASE]...
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
lab_sh=$(realpath "${ART_SRCDIR:-$(dirname "${BASH_SOURCE[0]}")/../..}")/tests/lab/lab.sh
bash "$lab_sh" check >out 2>err || { cat out; exit 77; }
export ART_LAB=$dir/lab ART_LAB_NET=10.78.0

info=$build/art-info
lab() { bash "$lab_sh" "$@"; }
trap 'lab down; end_all' EXIT
lab up 4 >out 2>err || { cat out err; exit 1; }

never_said() { # FILE PATTERN
	! grep -Eq -- "$2" "$1" || complain "$case: '$2' in $1"
}

# A job of two ranks on each of the four hosts; each rank says how many contribute when that changes, and
# with which error its calls end.
job_on_all() { # SETTING=VALUE...
	local r
	rm -f gate
	mkfifo gate
	exec {gate}<>gate
	begin bash "$lab_sh" exec 0 env ART_PROFILE=fast ART_LOG=info "$@" \
		"$artrun" -n 8 --hosts 'art[1-4]:2' "$programs/t_gate" told gate
	for r in 0 1 2 3 4 5 6 7; do
		until_said out "^rank $r counts 8$"
	done
}
all_count() { # N RANK...
	local n=$1 r
	shift
	for r in "$@"; do
		until_said out "^rank $r counts $n$"
	done
}
end_job() {
	printf . >&"$gate"
	finish
	exec {gate}>&-
	is "exit code" $rc 0
}
nobody_left() { is "who left, RANK VIEW" "$(early_views)" ''; }

strangers() { # at all ports of a host; random bytes, as many as a handshake and more
	local port n=0
	for port in $(lab exec "$1" awk '$4 == "0A" { sub(/.*:/, "", $2); print $2 }' /proc/net/tcp); do
		lab exec 0 bash -c 'exec 3<>"/dev/tcp/$0/$((16#$1))" && head -c 4000 /dev/urandom >&3' \
			$ART_LAB_NET."$1" "$port" 2>/dev/null
		n=$((n + 1))
	done
	[ $n -ge 4 ] || complain "$case: only $n ports found"
}

# The job goes on for @1 seconds: several bounds.
some_time() {
	local end=$((SECONDS + $1))
	while [ $SECONDS -lt $end ] && kill -0 "$job" 2>/dev/null; do
		read -rt 0.1 -u "$never"
	done
}

# Bad links and bad company cost time, and nobody's place.
t_links() {
	job_on_all ART_PROFILE=default ART_STALL=0.5
	strangers 2
	lab rate 3 2mbit
	some_time 2
	lab heal 3
	end_job
	nobody_left
	never_said out ' counts [1-7]$| ended: '
}

# Messages of operations that the ranks of a host have sent through others.
relayed() { # HOST
	lab exec "$1" "$info" --job "$(pid_of $((2 * $1 - 2)))" --raw --wait 60 | grep -o '"relayed":[0-9]*' | sort
}

# Two hosts that the others hear do not reach each other, in one direction or both: nobody leaves, the
# job goes on through a third host at first, then round the dead edge, and ends so.
t_a_dead_edge() {
	local before
	job_on_all
	lab oneway 2 1
	until_said err 'messages for rank [23] go through rank [4-7]'
	lab heal 1
	until_said err 'the way to it is back'
	lab part 1 4
	until_said err 'messages for rank [67] go through rank [2-5]'
	until_said err 'go round the dead edge between the hosts of ranks 0 and 6'
	some_time 1
	before="$(relayed 1) $(relayed 4)"
	is "ranks that tell" "$(wc -w <<<"$before")" 4
	some_time 1
	is "relayed in the next second" "$(relayed 1) $(relayed 4)" "$before"
	end_job
	lab heal 1
	nobody_left
	never_said out ' counts [1-7]$| ended: '
}

t_a_lossy_link() {
	job_on_all ART_PROFILE=default
	lab loss 3 5
	some_time 3
	lab heal 3
	end_job
	nobody_left
}

# One of each host speaks to the other one, and shares memory with the others of its own.
killed_among_leaders() { # VICTIM BYTES ROUNDS [bcast|reduce]
	begin bash "$lab_sh" exec 0 env ART_ERRORS=return ART_COLL_ALLREDUCE=leaders ART_COLL_BCAST=leaders \
		ART_COLL_REDUCE=leaders "$artrun" -n 6 --hosts 'art[1-2]:3' "$programs/t_large" "$2" "$3" ${4-allreduce} "$1"
	until_said out "^rank $1 enters round 20$"
	lab exec $((1 + $1 / 3)) kill -KILL "$(pid_of "$1")"
	finish
	is "rank $1 killed: exit status" $rc 0
	[ "$(grep -c 'has a result of 5$' out)" -ge 5 ] || complain "$case: few results without rank $1"
}
t_leaders_and_their_kids() {
	killed_among_leaders 3 64 3000
	killed_among_leaders 4 2000 3000
	killed_among_leaders 3 64 10000 bcast
	killed_among_leaders 5 64 10000 bcast
	killed_among_leaders 3 64 10000 reduce
	killed_among_leaders 2 64 10000 reduce
	killed_among_leaders 3 200000 300
	killed_among_leaders 1 200000 1000 bcast
	killed_among_leaders 4 2000000 100 reduce
}

# A stopped rank leaves, and then a host on which everything stands still; both hear of it when they wake.
t_processes_that_stop() {
	job_on_all
	lab exec 3 kill -STOP "$(pid_of 5)"
	all_count 7 0 1 2 3 4 6 7
	lab exec 3 kill -CONT "$(pid_of 5)"
	until_said out '^rank 5 ended: .*evicted'
	lab freeze 4
	all_count 5 0 1 2 3 4
	lab thaw 4
	until_said out '^rank 6 ended: .*evicted'
	until_said out '^rank 7 ended: .*evicted'
	end_job
	is "ranks that ended early" "$(grep -c ' ended: ' out)" 3
}

# artrun still hears both sides, the ranks do not.
t_a_partition_heals() {
	job_on_all ART_QUORUM_WAIT=50
	lab split 1,2,3 4
	all_count 6 0 1 2 3 4 5
	never_said out '^rank [67] (counts [1-7]$|ended)'
	lab heal 4
	until_said out '^rank 6 ended: .*(evicted|quorum)'
	until_said out '^rank 7 ended: .*(evicted|quorum)'
	end_job
}

t_a_partition_stays() {
	job_on_all ART_QUORUM_WAIT=1
	lab split 1,2,3 4
	all_count 6 0 1 2 3 4 5
	until_said out '^rank 6 ended: .*quorum'
	until_said out '^rank 7 ended: .*quorum'
	never_said out '^rank [67] counts [1-7]$'
	lab heal 4
	end_job
}

# Two hosts are cut off; those who go on without them die, which artrun certifies. Whoever is left is no
# quorum for that: the dead had left it out.
t_a_side_that_dies() {
	local r
	job_on_all ART_QUORUM_WAIT=50
	lab split 1,2,3 4
	all_count 6 0 1 2 3 4 5
	for r in 5 4 3 2 1 0; do
		lab exec $((r / 2 + 1)) kill -KILL "$(pid_of $r)"
	done
	until_said out '^rank 6 ended: .*evicted'
	until_said out '^rank 7 ended: .*evicted'
	never_said out '^rank [67] counts [1-7]$'
	finish
	exec {gate}>&-
	lab heal 4
}

# Nobody has a majority, so both sides stop. Which of them gives up first is chance, and its processes end:
# when the kernels of its hosts have told so, the other side is all that is left, and may go on, as many of
# it as have not given up in the same moment.
each_has_ended_or_goes_on() {
	local r
	for r in 0 1 2 3 4 5 6 7; do
		grep -Eq "^rank $r (ended: .*quorum|counts [1-4]$)" out || return 1
	done
}
t_halves() {
	job_on_all ART_QUORUM_WAIT=1 ART_TIE_BREAK=stop
	lab split 1,2 3,4
	await each_has_ended_or_goes_on || each_has_ended_or_goes_on ||
		complain "$case: somebody neither gives up nor goes on"
	if grep -q '^rank [0-3] counts [1-4]$' out && grep -q '^rank [4-7] counts [1-4]$' out; then
		complain "$case: both sides go on"
	fi
	printf . >&"$gate"
	finish
	exec {gate}>&-
	lab heal 1
	lab heal 2
	never_said out ' counts [5-7]$'
}

# artrun hears both halves and votes for one, which goes on; the other learns from it that it is out.
t_halves_with_an_arbiter() {
	local first second r
	job_on_all ART_QUORUM_WAIT=50
	lab split 1,2 3,4
	until_said out '^rank [0-7] counts 4$'
	first='0 1 2 3' second='4 5 6 7'
	! grep -Eq '^rank [4-7] counts 4$' out || { first='4 5 6 7' second='0 1 2 3'; }
	all_count 4 $first
	for r in $second; do
		until_said out "^rank $r ended: .*evicted"
		never_said out "^rank $r counts [1-7]$"
	done
	lab heal 1
	lab heal 2
	end_job
	is "ranks that ended early" "$(grep -c ' ended: ' out)" 4
}

# One of two hosts falls silent: nobody can prove it, and half of the ranks go on.
t_half_of_the_hosts_fall_silent() {
	job_on_all ART_QUORUM_WAIT=50
	lab poweroff 3
	lab poweroff 4
	until_said out '^rank [0-3] counts 4$'
	all_count 4 0 1 2 3
	printf . >&"$gate"
	until_said out '^rank 0: .* rounds$'
	lab reboot 3
	lab reboot 4
	finish
	exec {gate}>&-
}

# The half with the lowest rank is told to go on; the other stops all the same.
t_halves_with_a_tie_break() {
	local r
	job_on_all ART_QUORUM_WAIT=1 ART_TIE_BREAK=lowest
	lab split 1,2 3,4
	all_count 4 0 1 2 3
	for r in 4 5 6 7; do
		until_said out "^rank $r ended: .*quorum"
	done
	never_said out '^rank [4-7] counts [1-7]$'
	never_said out '^rank [0-3] ended'
	lab heal 1
	lab heal 2
	end_job
}

six_explain() {
	[ "$(grep -c 'view [0-9]*: 6 members, left: 4 (told to leave), 5 (told to leave)' err)" = 6 ]
}

t_a_silent_host() {
	job_on_all
	lab poweroff 3
	all_count 6 0 1 2 3 6 7
	await six_explain || complain "$case: not all say who left and why"
	printf . >&"$gate"
	# artrun waits for word of the lost host's ranks: it may not call them dead.
	until_said out '^rank 7: .* rounds$'
	lab reboot 3
	finish
	exec {gate}>&-
}

run_cases "$@"
