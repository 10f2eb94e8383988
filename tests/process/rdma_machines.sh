#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the rdma transport between two virtual machines of tests/lab/rdma, each with a kernel and a Soft-RoCE
# device of its own, and one link between them: collectives whichever way long messages go; a rank killed in the
# middle of a large one, on either machine; one that is stopped for a moment. Usage: rdma_machines.sh [CASE]...
set -u
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
lab=$(realpath "$here/../lab")
far=$lab/rdma_far.sh

if [ -z "${ART_LAB_MACHINE-}" ]; then
	"$lab/rdma" check || exit
	"$lab/rdma" up >/dev/null || { rc=$?; "$lab/rdma" up; exit $rc; }
	exec "$lab/rdma" run --machines 2 --cpus 1 --memory 1024 --time 300 --env ART_BUILDDIR --env ART_CONFIG= \
		-- bash "$here/rdma_machines.sh" "$@"
fi
[ "$ART_LAB_MACHINE" = 1 ] || exec bash "$far" serve

. "$here/../lib/jobs.sh"
export ART_TRANSPORT=rdma,tcp,shm ART_IFACE=10.77.0.0/24
hosts="--hosts machine1:2,machine2:2 --rsh $far --wdir /"
on_both() { run "$artrun" $hosts -n 4 "$@"; }
begin_on_both() { begin "$artrun" $hosts -n 4 "$@"; }
results() { grep -c "has a result of $1\$" out; }
sent() { cat /sys/class/infiniband/rxe0/ports/1/hw_counters/sent_pkts; } # by this machine's device, so far
has_sent() { [ "$(sent)" -gt "$1" ]; }
end_far() { bash "$far" machine2 "kill -KILL $1" </dev/null; }

await_machine() {
	local end=$((SECONDS + 90))
	until [ "$(echo | timeout 5 bash "$far" machine2 hostname 2>/dev/null)" = machine2 ]; do
		[ $SECONDS -lt $end ] || { echo "FAIL: machine2 does not answer"; exit 1; }
	done
}

t_two_kernels() {
	[ "$(cat /proc/sys/kernel/random/boot_id)" != "$(bash "$far" machine2 cat /proc/sys/kernel/random/boot_id \
		</dev/null)" ] || complain "$case: one machine only"
}

t_collectives() {
	local how before
	for how in auto write read copy; do
		before=$(sent)
		ART_RDMA_LARGE=$how on_both "$programs/t_large" $((1 << 20)) 3
		is "$how: exit status" $rc 0
		is "$how: results of all four" "$(results 4)" 12
		has_sent $((before + 300)) || complain "$case: $how: nothing went over rdma: $(sent) after $before"
	done
}

t_killed_in_a_large_one() {
	local who before
	for who in 1 2; do # the first machine has 0 and 1
		before=$(sent)
		begin_on_both "$programs/t_large" $((8 << 20)) 6 allreduce $who # who waits for it after three, if need be
		until_said out "^rank $who enters round 0"
		until_said out '^rank 2 is process'
		await has_sent $((before + 200)) || complain "$case: nothing goes over rdma"
		if [ $who = 1 ]; then kill -KILL "$(pid_of 1)"; else end_far "$(pid_of 2)"; fi
		finish
		is "rank $who killed: exit status" $rc 0
		[ "$(results 3)" -ge 3 ] || complain "$case: $(results 3) results without it"
	done
}

t_stopped_for_a_moment() {
	local pid
	export ART_BOUND=20
	begin_on_both "$programs/t_large" $((4 << 20)) 3
	until_said out '^rank 2 enters round 0'
	pid=$(pid_of 2)
	bash "$far" machine2 "kill -STOP $pid; sleep 1; kill -CONT $pid" </dev/null
	finish
	unset ART_BOUND
	is "exit status" $rc 0
	is "results of all four" "$(results 4)" 12
}

await_machine
run_cases "$@"
