#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: strangers connect to the ports of a running job and say wrong things, or nothing:
# the job goes on, every result right, nobody lost. Then a flood of them, 100,000 if the machine
# makes that many in 40 s (sanitizers: fewer).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
ranks=4

pids() { sed -n 's/^rank [0-9]* is process //p' out; }
all_there() { [ "$(pids | wc -l)" = $ranks ]; }

attack() { # PORT
	local i
	tell "$1" say_nothing
	tell "$1" say_http
	for i in 1 7 64 4096 1000000; do
		tell "$1" say_noise $i
		tell "$1" say_zeros $i
	done
	for ((i = 0; i < 20; i++)); do # and some that stay, silent
		exec {held[i]}<>"/dev/tcp/127.0.0.1/$1" || return
	done 2>/dev/null
	for ((i = 0; i < 20; i++)); do
		exec {held[i]}>&-
	done
}

mkfifo gate
exec {gate}<>gate # both ends, so that neither opening nor writing it waits for the job
begin "$artrun" -n $ranks "$programs/t_gate" busy gate
await all_there || complain "the job has not started"
trap '' PIPE
attacked=0
doors=()
for pid in $(pids); do
	for port in $(ports "$pid"); do
		attack "$port"
		attacked=$((attacked + 1))
		doors+=("$port")
	done
done
[ $attacked = $((2 * ranks)) ] || complain "found $attacked ports, not a data and a control port each"
case ${ART_BUILD:-normal} in normal) count=100000 ;; *) count=5000 ;; esac
flood=$("$programs/t_flood" $count 40 "${doors[@]}") || complain "no flood: $flood"
kill -0 "$job" 2>/dev/null || complain "the job ended under the flood"
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "exit status $rc"
! grep -q '^artrun:' err || complain "a rank was lost"
echo "$attacked ports attacked, $flood, $(grep rounds out) meanwhile"
verdict
