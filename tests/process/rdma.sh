#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the rdma transport on a libibverbs device: in the virtual machine of tests/lab/rdma, whose
# four hosts have a Soft-RoCE device each. The transport contract; collectives, every result checked;
# ranks killed in small and in large messages, whichever way these go; a cable pulled in the middle of a
# large allreduce; stopped ranks; receives that pairs share; too little memory to lock.
# Usage: rdma.sh [CASE]...   (the jobs over TCP alone, too, to compare: RDMA_TEST_OVER=tcp)
set -u
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
lab=$(realpath "$here/../lab")

# Out here: everything below happens inside, in one run of the machine.
if [ -z "${ART_LAB_HOSTS-}" ]; then
	"$lab/rdma" check || exit
	"$lab/rdma" up >/dev/null || { rc=$?; "$lab/rdma" up; exit $rc; }
	exec "$lab/rdma" run --hosts 4 --memory 1536 --time 600 --env RDMA_TEST_OVER --env ART_BUILDDIR \
		--env ART_CONFIG= -- bash "$here/rdma.sh" "$@"
fi

. "$here/../lib/jobs.sh"
chmod 755 "$dir" # each rank runs as a user of its own
export ART_TRANSPORT=${RDMA_TEST_OVER:-rdma,tcp}
if ! "$artrun" -n 1 "$programs/t_large" 8 1 >out 2>err && grep -q 'is not a list of' err; then
	echo "this build has no rdma: the jobs go over TCP on the machine's links"
	export ART_TRANSPORT=tcp
fi

on_hosts() { # N COMMAND...: as an artrun command, ranks on hosts of their own
	local n=$1
	shift
	run "$artrun" -n "$n" bash "$lab/rdma_host.sh" "$@"
}
begin_on_hosts() {
	local n=$1
	shift
	begin "$artrun" -n "$n" bash "$lab/rdma_host.sh" "$@"
}
over_rdma() { [[ ,$ART_TRANSPORT, = *,rdma,* ]]; }
results() { grep -c "has a result of $1\$" out; }
sent() { cat "/sys/class/net/eth$1/statistics/tx_bytes"; } # by host $1, so far
has_sent() { [ "$(sent "$1")" -gt "$2" ]; }

t_devices() {
	local k
	ibv_devices >out 2>err || complain "$case: no ibv_devices"
	for ((k = 0; k < ART_LAB_HOSTS; k++)); do
		grep -qw "rxe$k" out || complain "$case: no rxe$k"
		is "state of rxe$k" "$(cat /sys/class/infiniband/rxe$k/ports/1/state)" "4: ACTIVE"
	done
}

# Ranks on different hosts talk over the cables: else nothing below would mean anything.
t_apart() {
	local before
	before=$(sent 1)
	on_hosts 4 "$programs/t_large" 65536 4
	is "exit status" $rc 0
	has_sent 1 $((before + 65536)) || complain "$case: host 1 sent $(($(sent 1) - before)) bytes only"
}

t_collectives() {
	local size program
	for size in 8 1M; do
		on_hosts 4 "$build/art-bench" all --sizes $size:$size --iters 2
		is "art-bench all, $size: exit status" $rc 0
	done
	for program in comms nonblocking; do
		on_hosts 3 "$programs/t_$program"
		is "t_$program: exit status" $rc 0
	done
}

# One job per seed, in which rank @2 dies @3 us after its start into operations of up to @1 numbers.
one_kill() { # COUNT WHO USEC OPS
	local arguments="--seed $((seed += 1)) --ops $4 --max-count $1 --kill $2:run:$3"
	on_hosts 4 "$programs/t_killed" $arguments
	if [ $rc != 0 ] || grep -q ^FAIL err || [ "$(grep -c ' survived, history ' out)" != 3 ] ||
		[ "$(sed -n 's/.* survived, history //p' out | sort -u | wc -l)" != 1 ]; then
		complain "$case: status $rc: t_killed $arguments"
	fi
}
t_kills() {
	local seed=0 who
	export ART_ERRORS=return
	for who in 0 1 3; do
		one_kill 0 $who $((3000 + 20000 * who)) 20
		one_kill 400000 $who $((20000 + 150000 * who)) 8
	done
	unset ART_ERRORS
}

# Killed while a part of 8 MiB is under way: how much its host has sent tells where in it. A command given is
# called before.
killed_after() { # WHO MIB ROUNDS [COMMAND]
	local before
	before=$(sent $1)
	begin_on_hosts 4 "$programs/t_large" $((8 << 20)) $3
	until_said out "^rank $1 enters round 0"
	await has_sent $1 $((before + ($2 << 20))) || complain "$case: host $1 sends nothing"
	${4-:}
	kill -KILL "$(pid_of $1)"
	finish
	is "rank $1 killed after $2 MiB: exit status" $rc 0
	[ "$(results 3)" -ge 3 ] || complain "$case: $(results 3) results without it"
}
t_killed_in_a_large_one() {
	local who at
	for who in 1 2; do
		for at in 1 6; do
			killed_after $who $at 2
		done
	done
}

# Bodies that stay in the program's memory: the devices take them there, and give it back in the end.
t_lent() {
	local how
	over_rdma || return 0
	ART_RDMA_LARGE=auto WIRE_COUNTS=1 run "$build/tests/bench/wire" "$ART_TRANSPORT" 10.77.0.1 10.77.0.2 lent 65536 640
	is "auto: exit status" $rc 0
	grep -Eq '^  0 rdma-chose-(write|read) 1' err || complain "$case: neither way was chosen"
	for how in write read copy; do
		ART_RDMA_LARGE=$how WIRE_COUNTS=1 run "$build/tests/bench/wire" "$ART_TRANSPORT" 10.77.0.1 10.77.0.2 lent 65536 64
		is "$how: exit status" $rc 0
		is "$how: bodies lent" "$(sed -n 's/^  0 rdma-lent //p' err)" "$([ $how = copy ] || echo 64)"
		is "$how: bodies read" "$(sed -n 's/^  1 rdma-pulled //p' err)" "$([ $how != read ] || echo 64)"
	done
}

# Which way was found to be faster, once 24 MiB are back, is for everybody to see.
t_the_faster_way_is_told() {
	over_rdma || return 0
	begin_on_hosts 2 "$programs/t_large" $((8 << 20)) 24
	until_said out '^rank 0 enters round 0'
	await tells_the_faster_way || complain "$case: art-info does not tell it: $(cat info)"
	finish
	is "exit status" $rc 0
}
tells_the_faster_way() {
	"$build/art-info" --job --details >info 2>&1 &&
		grep -Eq 'long messages are (read|written) out of it.*: that was faster on this device' info
}

# The same kills where the bodies of the messages are in the memory of those who die, or of those who read.
t_killed_while_it_lends() {
	local who
	over_rdma || return 0
	export ART_RDMA_LARGE=read
	for who in 0 2; do
		killed_after $who 0 4
		killed_after $who 1 4
		killed_after $who 5 4 shows_what_is_lent
	done
	unset ART_RDMA_LARGE
}
shows_what_is_lent() {
	"$build/art-info" --job --details >info 2>&1 || complain "$case: art-info: $(cat info)"
	grep -Eq "program's memory: [1-9][0-9]* messages lent, [1-9]" info ||
		complain "$case: art-info does not show what is lent: $(cat info)"
}

# A cable pulled, and a rank stopped for long, while others read from it.
t_reads_end_with_the_way() {
	over_rdma || return 0
	export ART_RDMA_LARGE=read
	t_stopped_for_long
	t_cable_pulled
	unset ART_RDMA_LARGE
}

# The others go on without the cable of host 1: over TCP, which has another way here. Nobody is evicted.
t_cable_pulled() {
	local before
	export ART_LAB_WAY=free
	before=$(sent 1)
	begin_on_hosts 4 "$programs/t_large" $((64 << 20)) 1
	until_said out '^rank 1 enters round 0'
	if over_rdma; then
		await has_sent 1 $((before + (8 << 20))) || complain "$case: nothing goes over rdma"
	fi
	ip link set port1 down
	finish
	ip link set port1 up
	unset ART_LAB_WAY
	is "exit status" $rc 0
	is "results of all four" "$(results 4)" 4
	if over_rdma; then
		grep -Eq 'RDMA to rank [0-3] broke .*: going on over tcp' err || complain "$case: nobody says that it goes on over TCP"
	fi
}

# Stopped while others write to it. For less than the bound: all wait. For longer: it is evicted, and
# what it still does has no effect.
t_stopped_for_a_moment() {
	export ART_BOUND=20
	begin_on_hosts 4 "$programs/t_large" $((4 << 20)) 4
	until_said out '^rank 2 enters round 1'
	kill -STOP "$(pid_of 2)"
	until_said out '^rank 0 enters round [12]'
	kill -CONT "$(pid_of 2)"
	finish
	unset ART_BOUND
	is "exit status" $rc 0
	is "results of all four" "$(results 4)" 16
}
t_stopped_for_long() {
	export ART_BOUND=1
	begin_on_hosts 4 "$programs/t_large" $((4 << 20)) 6
	until_said out '^rank 2 enters round 1'
	kill -STOP "$(pid_of 2)"
	until_said out '^rank 0 has a result of 3'
	kill -CONT "$(pid_of 2)"
	until_said out '^rank 2 was evicted'
	finish
	unset ART_BOUND
	is "exit status" $rc 0
}

# All pairs of a rank take their receives from one queue.
t_shared_receives() {
	over_rdma || return 0
	export ART_RDMA_SRQ=on
	WIRE_COUNTS=1 run "$build/tests/bench/wire" "$ART_TRANSPORT" 10.77.0.1 10.77.0.2 ping 8 500
	is "exit status" $rc 0
	grep -Eq '^  0 rdma-shared-receives [1-9]' err || complain "$case: they are not shared: $(cat err)"
	on_hosts 4 "$programs/t_large" $((1 << 20)) 4
	is "exit status" $rc 0
	is "results of all four" "$(results 4)" 16
	killed_after 1 1 2
	t_contract
	unset ART_RDMA_SRQ
}

t_memory_not_to_be_locked() {
	over_rdma || return 0
	run bash -c 'ulimit -l 64 && exec "$@"' - "$artrun" -n 4 bash "$lab/rdma_host.sh" \
		"$programs/t_large" 65536 4
	is "exit status" $rc 0
	is "results of all four" "$(results 4)" 16
	grep -Eq 'memlock|ulimit -l' err || complain "$case: nobody says what to do about it"
}

t_contract() {
	! over_rdma || run "$build/tests/conformance/conformance" rdma
	over_rdma || run "$build/tests/conformance/conformance" tcp
	is "exit status" $rc 0
}

run_cases "$@"
