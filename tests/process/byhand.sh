#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: jobs without artrun: ranks that a shell starts, which meet at rank 0. Losses, an
# abort, wrong and missing variables, keys that are not kept, ranks that do not come, and strangers
# on the port while ranks join. Usage: byhand.sh [CASE]...
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
unset ART_RANK ART_SIZE ART_ROOT ART_KEY_FILE ART_CORES ART_LAUNCH_FD
umask 077
head -c 32 /dev/urandom >key
head -c 32 /dev/urandom >otherkey
declare -A pid code
end_ranks() {
	local p
	for p in "${pid[@]}"; do
		kill -KILL "$p" 2>/dev/null
	done
	end_all
}
trap end_ranks EXIT

is() { # is WHAT GOT WANT
	[ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"
}
has() { # has FILE PATTERN
	grep -Eq -- "$2" "$1" || fail "no line '$2' in $1"
}
fail() {
	cat out.* >out 2>/dev/null
	cat err.* >err 2>/dev/null
	complain "$case: $*"
}

# start RANK [NAME=VALUE]... PROGRAM [ARG]...: as a job script does; pid[RANK] is the program.
start() {
	local rank=$1
	shift
	ART_RANK=$rank ART_SIZE=$size ART_ROOT=$root ART_KEY_FILE=key env "$@" \
		>out."$rank" 2>err."$rank" </dev/null &
	pid[$rank]=$!
}
start_all() { # PROGRAM [ARG]...
	local r
	for ((r = size - 1; r >= 0; r--)); do # rank 0 comes last
		start $r "$@"
	done
}
ends() { # RANK: its exit code into code[RANK]
	wait "${pid[$1]}"
	code[$1]=$?
	unset "pid[$1]"
}
end_with() { # CODE RANK...: these end so
	local want=$1 r
	shift
	for r; do
		ends "$r"
		is "code of rank $r" "${code[$r]}" "$want"
	done
}
until_true() { # COMMAND...: at most 200 s
	local end=$((SECONDS + 200))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { fail "never: $*"; return 1; }
		read -rt 0.02 -u "$never"
	done
}
listens() { # PORT
	awk -v port="$(printf ':%04X' "$1")" '
		$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 }
		END { exit !found }' /proc/net/tcp /proc/net/tcp6
}
new_root() { # a free port; not one that the system gives to others
	do_port=$((16384 + RANDOM % 12000))
	while listens $do_port; do do_port=$((do_port + 1)); done
	root=${1-127.0.0.1}:$do_port
}
has_joined() { # RANK: it listens for the others, which it does once rank 0 has welcomed it
	[ -n "$(ports "${pid[$1]}")" ]
}

t_together() {
	size=4
	start_all "$programs/t_types"
	end_with 0 0 1 2 3
	is "nothing said" "$(cat err.*)" ""
	new_root '[::1]'
	start_all "$build/examples/hello" 5
	end_with 0 0 1 2 3
	has out.3 '^rank 3, round 0: the sum of 4 ranks is 6$'
}

t_many() {
	size=24
	start_all "$build/examples/hello" 1
	end_with 0 $(seq 0 23)
	has out.23 '^rank 23, round 0: the sum of 24 ranks is 276$'
}

t_a_job_of_one() {
	size=1
	start 0 "$build/examples/hello" 1
	end_with 0 0
	has out.0 'the sum of 1 ranks is 0'
}

t_a_rank_is_killed() {
	local r
	size=4
	start_all "$build/examples/hello" 1000000000
	for r in 0 1 2 3; do
		until_true grep -q "the sum of 4 ranks is 6" out.$r
	done
	kill -KILL "${pid[0]}" # where all have met: nobody needs it any more
	end_with 137 0
	for r in 1 2 3; do
		until_true grep -q "the sum of 3 ranks is 6" out.$r
		kill -KILL "${pid[$r]}"
	done
	end_with 137 1 2 3
}

t_abort() {
	size=3
	start_all "$programs/t_gate" abort 1 7
	end_with 7 1
	end_with 0 0 2
	has err.1 '^art: rank 1: the job has no launcher that could end the other ranks'
}

t_wrong_key() {
	size=2
	start 1 ART_KEY_FILE=otherkey "$build/examples/hello" 1
	start 0 "$build/examples/hello" 1
	end_with 1 1
	has err.1 "rank 0 at ART_ROOT=$root has another key than ART_KEY_FILE=otherkey$"
	start 1 "$build/examples/hello" 1
	end_with 0 0 1
	has out.0 'the sum of 2 ranks is 1'
}

t_variables() {
	local name
	size=2
	for name in ART_RANK ART_SIZE ART_ROOT ART_KEY_FILE; do
		start 1 -u $name "$build/examples/hello" 1
		end_with 1 1
		has err.1 "art_init: $name is not set; a rank started by hand needs ART_RANK, ART_SIZE, A"
	done
	refused ART_SIZE=two 'ART_SIZE=two is no number from 1 to'
	refused ART_SIZE=0 'ART_SIZE=0 is no number'
	refused ART_SIZE=99999 'ART_SIZE=99999 is no number'
	refused ART_RANK=2 'ART_RANK=2 is no number from 0 to 1 \(ART_SIZE is 2\)'
	refused ART_RANK=-1 'ART_RANK=-1 is no number'
	refused ART_ROOT=127.0.0.1 'ART_ROOT=127.0.0.1 is not an address and a port'
	refused ART_ROOT=localhost:7000 'ART_ROOT=localhost:7000 is not an address and a port'
	refused ART_ROOT=::1:7000 'ART_ROOT=::1:7000 is not an address and a port'
	refused ART_ROOT=0.0.0.0:7000 'ART_ROOT=0.0.0.0:7000 is not one address'
	refused ART_JOIN_WAIT=never 'ART_JOIN_WAIT=never is not seconds'
}
refused() { # NAME=VALUE PATTERN
	start 1 "$1" "$build/examples/hello" 1
	end_with 1 1
	has err.1 "$2"
}

t_keys_that_are_not_kept() {
	size=2
	cp key shown
	chmod 644 shown
	refused ART_KEY_FILE=shown 'ART_KEY_FILE=shown can be used by others \(mode 0644\); chmod 600 it'
	chmod 620 shown
	refused ART_KEY_FILE=shown 'ART_KEY_FILE=shown can be used by others \(mode 0620\)'
	head -c 31 key >short
	refused ART_KEY_FILE=short 'ART_KEY_FILE=short has 31 bytes instead of 32'
	cat key key >long
	refused ART_KEY_FILE=long 'ART_KEY_FILE=long has 64 bytes instead of 32'
	mkfifo fifo
	refused ART_KEY_FILE=fifo 'ART_KEY_FILE=fifo is not a regular file'
	refused ART_KEY_FILE=. 'ART_KEY_FILE=. is not a regular file'
	refused ART_KEY_FILE=nowhere 'ART_KEY_FILE=nowhere: No such file or directory'
	if [ "$(id -u)" = 0 ]; then
		cp key foreign
		chown 1:1 foreign
		refused ART_KEY_FILE=foreign 'ART_KEY_FILE=foreign belongs to another user'
	fi
}

t_another_size() {
	size=2
	start 1 ART_SIZE=3 "$build/examples/hello" 1
	start 0 ART_JOIN_WAIT=10 "$build/examples/hello" 1
	end_with 1 1 0
	has err.1 'ART_SIZE is 3 at rank 1 and 2 at rank 0$'
	has err.0 'rank 1 of 2 did not come to rank 0 within 10 s; a rank 1 was refused because its ART_SIZE is 3, not 2$'
}

t_a_place_that_is_taken() {
	size=3
	start 0 "$build/examples/hello" 1
	start 1 "$build/examples/hello" 1
	until_true has_joined 1
	start 2 ART_RANK=1 "$build/examples/hello" 1
	end_with 1 2
	has err.2 'ART_RANK=1 is taken: another process with it has come before$'
	start 2 "$build/examples/hello" 1
	end_with 0 0 1 2
}

t_nobody_comes() {
	size=4
	start 1 ART_JOIN_WAIT=0.3 "$build/examples/hello" 1
	end_with 1 1
	has err.1 "rank 0 has not come to ART_ROOT=$root within 0.3 s \(Connection refused\)$"
	start 2 "$build/examples/hello" 1
	start 0 ART_JOIN_WAIT=10 "$build/examples/hello" 1
	end_with 1 0 2
	has err.0 'ranks 1, 3 of 4 did not come to rank 0 within 10 s$'
	has err.2 'ranks 1, 3 of 4 did not come to rank 0 within 10 s$'
}

t_a_rank_ends_before_all_have_come() {
	size=4
	start 0 "$build/examples/hello" 1
	start 1 "$build/examples/hello" 1
	start 2 "$build/examples/hello" 1
	until_true has_joined 1
	until_true has_joined 2
	kill -KILL "${pid[2]}"
	end_with 137 2
	end_with 1 0 1
	has err.0 'rank 2 ended before all ranks had come$'
	has err.1 'rank 2 ended before all ranks had come$'
	new_root
	start 0 "$build/examples/hello" 1
	start 1 "$build/examples/hello" 1
	until_true has_joined 1
	kill -KILL "${pid[0]}"
	end_with 137 0
	end_with 1 1
	has err.1 'rank 0 ended before all ranks had come$'
}

say_half_a_hello() { printf 'ARTb\1\1\0\0\1\0\0\0'; }
say_another_version() { printf 'ARTb\2\1\0\0'; }
say_a_hello() { printf 'ARTb\1\1\0\0\1\0\0\0\2\0\0\0%16s' ''; }
say_a_false_proof() { say_a_hello && printf 'ARTb\1\3\0\0%16s' ''; }

t_strangers() {
	local i fd
	size=2
	trap '' PIPE
	start 0 ART_LOG=info "$build/examples/hello" 1
	until_true listens $do_port
	for i in say_nothing say_http 'say_noise 7' 'say_noise 100000' 'say_zeros 64' \
		say_half_a_hello say_another_version say_a_hello say_a_false_proof; do
		tell $do_port $i
	done
	for ((i = 0; i < 100; i++)); do # more than there is room for, and they stay
		exec {held[i]}<>"/dev/tcp/127.0.0.1/$do_port" || fail "cannot connect"
		[ $((i % 2)) = 0 ] || say_half_a_hello >&"${held[i]}"
	done
	start 1 "$build/examples/hello" 1
	end_with 0 0 1
	for ((i = 0; i < 100; i++)); do
		exec {held[i]}>&-
	done
	has out.0 'the sum of 2 ranks is 1'
	has err.0 '^art: \[rank 0\] info: [0-9]+ connections that did not prove to have the key were dropped$'
	is "one line for all of them" "$(grep -c dropped err.0)" 1
	trap - PIPE
}

t_silent_strangers_are_cut_off() {
	local byte
	size=2
	start 0 "$build/examples/hello" 1
	until_true listens $do_port
	exec {held[0]}<>"/dev/tcp/127.0.0.1/$do_port"
	say_half_a_hello >&"${held[0]}"
	read -rt 200 -n 1 byte <&"${held[0]}" # its end
	is "read's answer" $? 1
	exec {held[0]}>&-
	start 1 "$build/examples/hello" 1
	end_with 0 0 1
}

t_somebody_else_listens() {
	size=2
	start 0 "$build/examples/hello" 1
	until_true listens $do_port
	start 2 ART_RANK=0 "$build/examples/hello" 1
	end_with 1 2
	has err.2 "rank 0 cannot wait for the others at ART_ROOT=$root: Address already in use$"
	start 1 "$build/examples/hello" 1
	end_with 0 0 1
	banner &
	pid[0]=$!
	until_true listens $do_port
	start 1 "$build/examples/hello" 1
	end_with 1 1
	has err.1 "what answers at ART_ROOT=$root is no rank 0 of an ART job$"
	kill "${pid[0]}"
	end_with 143 0
}
banner() { # as sshd does
	exec perl -MIO::Socket::INET -e 'alarm 400;
		$s = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1, LocalAddr => $ARGV[0]) or die;
		while ($c = $s->accept) { sysread $c, $x, 100; print $c "SSH-2.0-x\r\n"; close $c }' "$root"
}

t_artrun_wins() {
	run env ART_ROOT=nonsense ART_KEY_FILE=nowhere "$artrun" -n 2 "$build/examples/hello" 1
	is code $rc 0
	grep -q 'the sum of 2 ranks is 1' out || complain "$case: no sum of 2"
	run "$artrun" -n 2 env -u ART_LAUNCH_FD "$build/examples/hello" 1
	is "a program started by a rank" "$(grep -c 'rank 0, round 0: the sum of 1 ranks is 0' out)" 2
}

before_case() {
	rm -f out.* err.*
	new_root
}
run_cases "$@"
