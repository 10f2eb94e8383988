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

# Ports on which a process listens: its sockets that the kernel's table shows in state 0A.
ports() { # PID
	local fd link
	for fd in /proc/"$1"/fd/*; do
		link=$(readlink "$fd") || continue
		case $link in socket:*) echo "${link//[^0-9]/}" ;; esac
	done | awk 'NR == FNR { mine[$1]; next }
		$4 == "0A" && $10 in mine { sub(/.*:/, "", $2); print $2 }' - /proc/net/tcp |
		while read -r hex; do echo $((16#$hex)); done
}

# Each writes something into a connection and leaves; a reset by the job is fine.
say_http() { printf 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'; }
say_noise() { head -c "$1" /dev/urandom; }
say_zeros() { head -c "$1" /dev/zero; }
say_nothing() { :; }

tell() { # PORT WHAT ARGS...
	local port=$1
	shift
	{ exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || return
	"$@" >&"$fd" 2>/dev/null
	exec {fd}>&-
}

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
