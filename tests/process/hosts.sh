#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: jobs over several hosts through ssh, on hosts that tests/lab makes: who sits where,
# input, output, exit codes; a rank, all ranks of a host, an agent and artrun are killed; hosts that
# cannot be reached, or lack the program. Usage: hosts.sh [CASE]...
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
lab_sh=$(realpath "${ART_SRCDIR:-$(dirname "${BASH_SOURCE[0]}")/../..}")/tests/lab/lab.sh
bash "$lab_sh" check >out 2>err || { cat out; exit 77; }
hosts=5
export ART_LAB=$dir/lab

lab() { bash "$lab_sh" "$@"; }
trap 'lab down; end_all' EXIT
lab up $hosts >out 2>err || { cat out err; exit 1; }

has() { # has FILE PATTERN
	grep -Eq -- "$2" "$1" || complain "$case: no line '$2' in $1"
}
jobrun() { run bash "$lab_sh" exec 0 "$artrun" "$@"; }
jobbegin() { begin bash "$lab_sh" exec 0 bash -c 'echo $$ >artrun.pid; exec "$@"' - "$artrun" "$@"; }
sorted() { sort -n out | tr '\n' ' '; }

all_up() { [ "$(grep -c ' is process ' out)" = "$1" ]; }
# How many processes of the job are on any host.
processes() { # NAME
	local i n=0
	for ((i = 0; i <= hosts; i++)); do
		n=$((n + $(lab exec $i sh -c 'cat /proc/[0-9]*/comm 2>/dev/null' | grep -cx "$1")))
	done
	echo $n
}
none_left() { # NAME...
	local name
	for name in "$@"; do
		[ "$(processes "$name")" = 0 ] || return 1
	done
}
await_none() { # the job may be over: only time bounds this
	local end=$((SECONDS + 100))
	until none_left "$@"; do
		[ $SECONDS -lt $end ] || { complain "$case: still there: $*"; return; }
		read -rt 0.05 -u "$never"
	done
}

# A job of ranks that compute until a byte comes through the FIFO `gate`. $mode: how t_gate does it.
busy_job() { # OPTIONS...
	rm -f gate
	mkfifo gate
	exec {gate}<>gate
	jobbegin "$@" "$programs/t_gate" "${mode:-lossy}" gate
	ranks=$2
	await all_up "$ranks" || complain "$case: the job has not started"
}
open_gate() {
	printf . >&"$gate"
	finish
	exec {gate}>&-
}

t_places() {
	jobrun --hosts 'art[1-2]:2,art3' -n 5 sh -c 'echo $ART_RANK $(hostname)'
	is slot "$(sorted)" "0 art1 1 art1 2 art2 3 art2 4 art3 "
	jobrun --hosts 'art[1-2]:2,art3:1' --map-by host sh -c 'echo $ART_RANK $(hostname)'
	is host "$(sorted)" "0 art1 1 art2 2 art3 3 art1 4 art2 "
	printf '# hosts\nart[04-4] slots=1\nart2:2 \n' | sed 's/art\[04-4\]/art4/' >file
	jobrun --hosts file sh -c 'echo $ART_RANK/$ART_SIZE $(hostname)'
	is file "$(sorted)" "0/3 art4 1/3 art2 2/3 art2 "
	jobrun --hosts art0,art1:1 -n 3 --map-by host --bind-to core sh -c 'echo $ART_RANK $(hostname)'
	is "this host, too" "$(sorted)" "0 art0 1 art1 2 art0 "
	is "nothing said" "$(cat err)" ""
}

t_surroundings() {
	mkdir -p there
	cd there || return
	run bash "$lab_sh" exec 0 env WORD='a b' ART_STALL=9 "$artrun" \
		-x WORD -x 'OTHER=c  d' --hosts art1:1,art2:1 sh -c \
		'echo "$PWD|$WORD|$OTHER|$ART_STALL|$ART_IFACE|$ART_ROOT$ART_KEY"'
	is where "$(sort out | head -n 1)" "$PWD|a b|c  d|9|10.77.0.1|"
	is where "$(sort out | tail -n 1)" "$PWD|a b|c  d|9|10.77.0.2|"
	cd ..
	jobrun --hosts art1 -n 1 --wdir / pwd
	is wdir "$(cat out)" /
	jobrun --hosts art1 -n 1 --wdir /no/such/place pwd
	is "no directory" $rc 125
	has err '^artrun: host art1: cannot start rank 0 in '\''/no/such/place'\'': No such file'
}

t_input_and_output() {
	seq 100000 >numbers
	bash "$lab_sh" exec 0 "$artrun" --hosts art2,art1 -n 2 --tag-output sh -c \
		'cat | md5sum; echo end >&2' >out 2>err <numbers
	is tagged "$(sort out | tr '\n' ' ')" \
		"[0] $(md5sum <numbers) [1] $(md5sum </dev/null) "
	is "standard error" "$(sort err | tr '\n' ' ')" "[0] end [1] end "
	jobrun --hosts 'art[1-4]:1' awk 'BEGIN { for (i = 0; i < 20000; i++) {
		printf "abcdefghij"; fflush(); print "klmnopqrstuvwxyz" } }'
	is "whole lines" "$(sort out | uniq -c | tr -s ' ')" " 80000 abcdefghijklmnopqrstuvwxyz"
	seq 3000000 | bash "$lab_sh" exec 0 "$artrun" --hosts art1 -n 1 head -n 1 >out 2>err
	is "input not wanted" "$(cat out)" 1
	timeout 60 bash "$lab_sh" exec 0 "$artrun" --hosts art1,art2 -n 2 yes 2>err </dev/null |
		head -n 1 >out
	is "nobody reads" "$(cat out)" y
	await_none yes
}

t_exit_codes() {
	jobrun --hosts 'art[1-4]:1' sh -c 'exit $((ART_RANK * 10))'
	is highest $rc 30
	jobrun --hosts 'art[1-3]:1' sh -c '[ $ART_RANK = 1 ] && kill -SEGV $$; exit 2'
	is signal $rc 139
	has err '^artrun: rank 1 \(host art2, pid [1-9][0-9]*\) was killed by signal 11'
	jobrun --hosts 'art[1-2]:1' no-such-program
	is "not found" $rc 127
	has err "^artrun: host art[12]: program 'no-such-program' was not found$"
	lab exec 1 sh -c 'cp /bin/true /run/only-there'
	jobrun --hosts 'art[1-3]:1' /run/only-there
	is "missing on one host" $rc 127
	has err "^artrun: host art[23]: program '/run/only-there' was not found$"
	is "one line" "$(wc -l <err)" 1
	jobrun --hosts 'art[1-2]:1' --timeout 1 tail -f /dev/null
	is timeout $rc 124
	await_none tail artrun
}

t_hosts_that_do_not_come() {
	jobrun --hosts art1,art99 true
	is "unknown: code" $rc 125
	has err '^artrun: host art99: it cannot be reached by ssh \(ssh: .*art99'
	jobrun --hosts art1,art2 --remote-artrun /no/such/artrun true
	is "no artrun: code" $rc 125
	has err '^artrun: host art[12]: there is no artrun at this path on it; --remote-artrun'
	printf '#!/bin/sh\nprintf "ATRA\\143\\000\\001\\000\\020\\000\\000\\000\\377\\377\\377\\377"\ncat >/dev/null\n' >old
	chmod +x old
	jobrun --hosts art1 --remote-artrun "$PWD/old" true
	is "other version: code" $rc 125
	has err '^artrun: host art1: its artrun is of another version'
	printf '#!/bin/sh\necho welcome to this host\nexec "%s" "$@"\n' "$artrun" >noisy
	chmod +x noisy
	jobrun --hosts art1 -n 1 --remote-artrun "$PWD/noisy" echo done
	is "noisy login" "$rc $(cat out)" "0 done"
	jobrun --hosts 'art[1-' true
	is "bad list" "$rc $(cat err)" "125 artrun: --hosts 'art[1-': entry 1: '[' without ']' in 'art[1-'"
}

# Of one host; who is alone there shares nothing.
t_memory_is_shared() {
	local sent rounds mode=pairs
	busy_job -n 5 --hosts 'art[1-2]:2,art3'
	await grep -q '2000 done' out || complain "$case: the job does not get on"
	is "parts that a pair maps" "$(lab exec 2 grep -c memfd:art-arena "/proc/$(pid_of 3)/maps")" 2
	is "memory that nobody uses" "$(lab exec 3 grep -c memfd:art-arena "/proc/$(pid_of 4)/maps")" 0
	lab exec 1 "$build/art-info" --job "$(pid_of 0)" --details --wait 60 >told
	open_gate
	is code $rc 0
	sent=$(sed -nE 's/^  rank 0, .*connections, ([0-9]+) messages.*/\1/p' told)
	rounds=$(sed -nE 's/^([0-9]+) rounds$/\1/p' out)
	[ "${rounds:-0}" -gt "$((20 * ${sent:-1000000}))" ] || complain "$case: $sent messages in $rounds rounds"
}

t_a_rank_is_killed() {
	busy_job -n 8 --hosts 'art[1-4]:2'
	lab exec 2 kill -KILL "$(pid_of 3)"
	await grep -q 'rank 3 ' err
	open_gate
	is code $rc 0
	has err '^artrun: rank 3 \(host art2, pid [0-9]+\) was killed by signal 9 \(Killed\); 7 ranks go on$'
	is lines "$(wc -l <err)" 1
	has out ' rounds$'
}

t_all_ranks_of_a_host_are_killed() {
	busy_job -n 8 --hosts 'art[1-4]:2'
	lab exec 3 kill -KILL "$(pid_of 4)" "$(pid_of 5)"
	await grep -q 'rank 5 ' err
	open_gate
	is code $rc 0
	has err '^artrun: rank 4 \(host art3, .*Killed'
	has err '^artrun: rank 5 \(host art3, .*Killed'
	has out ' rounds$'
}

agent_on() { # HOST: the agent is the parent of the ranks there
	lab exec "$1" sed 's/.*) . //; s/ .*//' "/proc/$2/stat"
}

t_an_agent_is_killed() {
	busy_job -n 8 --hosts 'art[1-4]:2'
	lab exec 4 kill -KILL "$(agent_on 4 "$(pid_of 6)")"
	await grep -q 'rank 7 ' err
	open_gate
	is code $rc 0
	has err '^artrun: the agent on host art4 is gone, and its ranks with it: it was killed$'
	has err '^artrun: rank 6 \(host art4, .*Killed'
	has out ' rounds$'
	await_none t_gate artrun
}

t_artrun_is_killed() {
	busy_job -n 8 --hosts 'art[1-4]:2'
	lab exec 0 kill -KILL "$(cat artrun.pid)"
	finish
	is code $rc 137
	await_none t_gate artrun
	exec {gate}>&-
}

t_artrun_is_asked_to_end() {
	busy_job -n 4 --hosts 'art[1-2]:2'
	lab exec 0 kill -TERM "$(cat artrun.pid)"
	finish
	is code $rc 143
	await_none t_gate artrun
	exec {gate}>&-
}

# No agent and no kernel says anything of host 5: artrun may not call that a death, and waits only so
# long. The agent of host 4 is stopped, and its ssh sees nothing wrong; its rank ends like the others.
t_z_a_host_falls_silent() {
	local agent
	busy_job -n 5 --hosts 'art[1-5]:1'
	agent=$(agent_on 4 "$(pid_of 3)")
	lab poweroff 5
	lab exec 4 kill -STOP "$agent"
	await grep -q '^without ' out
	open_gate
	is code $rc 0
	is "who is missing" "$(grep '^without ' out)" "without 4"
	has out ' rounds$'
	has err '^artrun: lost the agent on host art5: .*nobody here can tell what became of rank 4,'
	has err '^artrun: lost the agent on host art4: it has said nothing for 20 s; .*of rank 3,'
	is "lines of artrun" "$(grep -c '^artrun' err)" 2
	lab exec 4 kill -CONT "$agent"
	lab reboot 5
	await_none t_gate artrun
}

# Without artrun. Where to listen follows from ART_ROOT; the kernel of host 2 says that rank 3 is dead to
# rank 2 alone, and rank 2 to the others.
t_by_hand() {
	local r started=()
	(umask 077 && head -c 32 /dev/urandom >key)
	rm -f gate
	mkfifo gate
	exec {gate}<>gate
	for r in 0 1 2 3; do
		timeout -k 5 100 bash "$lab_sh" exec $((1 + r / 2)) env ART_RANK=$r ART_SIZE=4 \
			ART_ROOT="${ART_LAB_NET:-10.77.0}.1:7000" ART_KEY_FILE=key \
			"$programs/t_gate" lossy gate >by.$r 2>by.err.$r </dev/null &
		started+=($!)
	done
	job=${started[0]}
	for r in 0 1 2 3; do
		await grep -q ' is process ' by.$r || complain "$case: rank $r has not joined"
	done
	lab exec 2 kill -KILL "$(sed -n 's/^rank 3 is process //p' by.3)"
	wait "${started[3]}"
	is "code of rank 3" $? 137
	printf . >&"$gate"
	for r in 0 1 2; do
		wait "${started[r]}"
		is "code of rank $r" $? 0
	done
	job=
	exec {gate}>&-
	cat by.[0-3] >out
	cat by.err.* >err
	has out ' rounds$'
	is "nothing said" "$(cat by.err.[0-2])" ""
}

run_cases "$@"
