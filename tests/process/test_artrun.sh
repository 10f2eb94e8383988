#!/bin/bash
# SPDX-License-Identifier: MIT
#
# artrun by itself: output, input, exit codes, signals, losses, leftovers. Ranks are shell commands
# or boot_probe (which speaks to the launcher as a real rank does, but computes nothing).
# Usage: test_artrun.sh [CASE]...   ART_BUILDDIR (the present directory) has the programs, or ARTRUN and
# BOOT_PROBE name them. Exit 0 or 1.
set -u
build=${ART_BUILDDIR:-.}
program() { # PATH: as an absolute one
	if [ ! -f "$1" ] || [ ! -x "$1" ]; then
		echo "test_artrun: there is no program $1: build it, or say with ART_BUILDDIR where it is" >&2
		return 1
	fi
	realpath "$1"
}
artrun=$(program "${ARTRUN:-$build/artrun}") && probe=$(program "${BOOT_PROBE:-$build/tests/process/boot_probe}") ||
	exit 1
export probe
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
exec {never}<> <(:) # a descriptor with nothing to read, for pauses between polls
failures=0 case=

fail() {
	echo "FAIL $case: $*"
	failures=$((failures + 1))
}
is() { # is WHAT GOT WANT
	[ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"
}
has() { # has FILE PATTERN
	grep -Eq -- "$2" "$1" || fail "no line '$2' in: $(head -c 2000 "$1")"
}
hasnt() {
	! grep -Eq -- "$2" "$1" || fail "there is '$2' in: $(head -c 2000 "$1")"
}
pause() {
	read -rt 0.02 -u "$never"
}
await() { # await COMMAND...: until it succeeds, 200 s at most: also on a slow machine
	local end=$((SECONDS + 200))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { fail "waited 200 s for: $*"; return 1; }
		pause
	done
}
# run ARGS...: artrun in the foreground, into out, err and rc; nothing may take longer than 200 s
run() {
	timeout -k 5 200 "$artrun" "$@" >out 2>err </dev/null
	rc=$?
}
# begin ARGS...: artrun in the background as $job; signals as from an interactive shell
begin() {
	env --default-signal=INT,QUIT "$artrun" "$@" >out 2>err </dev/null &
	job=$!
}
finish() { # the end of what begin() began, into rc
	await gone "$job"
	wait "$job"
	rc=$?
}
state() { # of process $1
	sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null
}
gone() { # no such process, or a zombie
	case $(state "$1") in '' | Z | X) return 0 ;; esac
	return 1
}
all_gone() { # the processes listed in the files given
	local pid
	for pid in $(cat "$@"); do
		gone "$pid" || return 1
	done
}
in_state() { # in_state LETTER FILE...: all processes listed
	local letter=$1 pid
	shift
	for pid in $(cat "$@"); do
		[ "$(state "$pid")" = "$letter" ] || return 1
	done
}
there() { # there N: the files pid.0 .. pid.N-1, each with a whole line
	local i
	for ((i = 0; i < $1; i++)); do
		[ "$(wc -l <"pid.$i")" = 1 ] || return 1
	done
}
# how a line about a loss ends, if somebody finalizes
others='([1-9]+ ranks? goe?s? on|the others had finished)$'
# a rank that says where it is, then waits for its end (tail would notice if its output closed)
sleeper='echo $$ >pid.$ART_RANK; exec tail -f /dev/null >/dev/null'

t_lines_stay_whole() {
	# 12 writers, each line in three writes
	run -n 12 awk 'BEGIN { r = ENVIRON["ART_RANK"]; for (i = 0; i < 1500; i++) {
		printf "<%d ", r; fflush(); printf "%d abcdefghijklmnopqrstuvwxyz", i; fflush();
		printf " %d>\n", r; fflush() } }'
	is code $rc 0
	is lines "$(wc -l <out)" 18000
	is "whole lines in order" "$(awk '
		!/^<[0-9]+ [0-9]+ abcdefghijklmnopqrstuvwxyz [0-9]+>$/ { print "cut: " $0; exit }
		{ r = substr($1, 2); if ($2 != next_of[r]++) { print "order: " $0; exit } }' out)" ""
	is stderr "$(cat err)" ""
}

t_stdout_and_stderr_into_one_file() {
	timeout 200 "$artrun" -n 4 awk 'BEGIN { for (i = 0; i < 2000; i++) {
		printf "out"; fflush(); print "line"; printf "err" >"/dev/stderr";
		print "line" >"/dev/stderr" } }' >out 2>&1 </dev/null
	is code $? 0
	is whole "$(grep -cvxE 'outline|errline' out)" 0
	is lines "$(wc -l <out)" 16000
}

t_tag_output() {
	run -n 3 --tag-output sh -c 'echo one; echo two $ART_RANK; echo three >&2; printf four'
	is code $rc 0
	for i in 0 1 2; do
		is "rank $i" "$(grep "^\[$i\]" out | tr '\n' ,)" "[$i] one,[$i] two $i,[$i] four,"
		has err "^\[$i\] three$"
	done
	is lines "$(wc -l <out)" 9
}

t_last_line_is_completed() {
	run -n 3 printf abc
	is lines "$(grep -cx abc out)" 3
	run -n 1 printf abc
	is "one rank: bytes unchanged" "$(od -An -c out | tr -d ' \n')" abc
}

t_long_lines() {
	head -c 5000000 /dev/zero | tr '\0' x >long
	echo >>long
	run -n 3 sh -c 'if [ $ART_RANK = 1 ]; then cat long; fi'
	cmp -s long out || fail "a line of 5 MB came out changed"
	run -n 2 --tag-output sh -c 'cat long; cat long'
	is "tags" "$(grep -c '^\[[01]\] xxx' out)" "$(wc -l <out)"
	is "bytes" "$(tr -dc x <out | wc -c)" 20000000
}

t_no_bytes_are_lost_with_a_slow_reader() {
	mkfifo slow
	"$artrun" -n 4 seq -f "line %.0f of the long text that fills every buffer" 300000 \
		>slow 2>err </dev/null &
	job=$!
	exec 8<slow
	read -r first <&8
	quiet() { # nothing moves any more: everybody waits for us
		local was=$before
		before=$(grep rchar /proc/$job/io)
		[ "$was" = "$before" ] && still=$((still + 1)) || still=0
		[ $still -ge 10 ]
	}
	before='' still=0
	await quiet
	kb=$(awk '/VmRSS/ { print $2 }' /proc/$job/status)
	[ "$kb" -lt 32768 ] || fail "artrun holds $kb KiB while its reader sleeps"
	{ echo "$first"; cat <&8; } >out
	exec 8<&-
	wait $job
	is code $? 0
	is lines "$(wc -l <out)" 1200000
	is "each line four times" "$(sort out | uniq -c | awk '$1 != 4' | head -1)" ""
}

t_closed_output_ends_writers() {
	set -o pipefail
	timeout 200 "$artrun" -n 3 yes 2>err </dev/null | head -n 1 >out
	is code $? $((128 + 13))
	set +o pipefail
	is out "$(cat out)" y
	is err "$(cat err)" ""
}

t_full_disk_is_said() {
	timeout 200 "$artrun" -n 2 echo hello >/dev/full 2>err </dev/null
	is code $? 125
	has err 'cannot write to standard output: No space'
}

t_closed_descriptors() {
	timeout 200 "$artrun" -n 2 sh -c 'echo hello; echo there >&2' <&- >&- 2>&-
	is code $? 0
}

t_stdin_goes_to_rank_0() {
	seq 5000 | timeout 200 "$artrun" -n 3 sh -c 'echo $ART_RANK: $(wc -l)' >out 2>err
	is input "$(sort out | tr '\n' ,)" "0: 5000,1: 0,2: 0,"
	yes | timeout 200 "$artrun" -n 2 true
	is "rank 0 reads nothing" "${PIPESTATUS[1]}" 0
}

t_terminal_input_and_ctrl_c() {
	command -v script >/dev/null || { echo "skip $case: no script(1)"; return; }
	# The keys are typed once the ranks are there; script(1) gives them a terminal.
	{ await there 2; printf 'a word\n\004'; await test -e done; } |
		timeout 200 script -qec "$artrun -n 2 sh -c 'echo \$\$ >pid.\$ART_RANK; \
			cat >got.\$ART_RANK; touch done.\$ART_RANK'; touch done" /dev/null >out 2>&1
	is "rank 0 got" "$(cat got.0)" "a word"
	is "rank 1 got" "$(cat got.1)" ""
	rm -f pid.* done*
	# The shell between has the terminal, too: not every shell outlives a Ctrl-C to tell the code.
	{ await there 2; printf '\003'; await test -e done; } |
		timeout 200 script -qec "trap : INT; $artrun -n 2 sh -c '$sleeper'; echo \$? >done" \
			/dev/null >out 2>&1
	is "code after Ctrl-C" "$(cat done)" 130
	await all_gone pid.0 pid.1
}

t_plain_exit_codes() {
	run -n 3 true
	is true $rc 0
	run -n 3 false
	is false $rc 1
	run -n 4 sh -c 'exit $((ART_RANK * 10))'
	is highest $rc 30
	run -n 3 sh -c '[ $ART_RANK = 1 ] && kill -SEGV $$; exit 2'
	is signal $rc 139
	has err '^artrun: rank 1 \(pid [0-9]+\) was killed by signal 11 \(Segmentation fault\)$'
	is "lines on stderr" "$(wc -l <err)" 1
}

t_program_not_found() {
	run -n 4 no-such-program-anywhere
	is code $rc 127
	is sentence "$(cat err)" "artrun: program 'no-such-program-anywhere' was not found"
	run ./not/here
	is code $rc 127
	echo text >plainfile
	run -n 2 ./plainfile
	is code $rc 126
	is sentence "$(cat err)" "artrun: cannot run './plainfile': Permission denied"
	printf '#!/no/such/interpreter\n' >script
	chmod +x script
	run ./script
	is code $rc 127
	has err "interpreter was not found"
	run /
	is directory $rc 126
	run --wdir /no/such/place true
	is "no place to start in" $rc 125
	is sentence "$(cat err)" "artrun: cannot start rank 0 in '/no/such/place': No such file or directory"
}

t_bad_arguments() {
	local a
	for a in "-n 0 true" "-n -1 true" "-n 4097 true" "-n x true" "-n" "--timeout 0 true" \
		"--timeout nan true" "--timeout 1x true" "--no-such true" ""; do
		run $a
		is "'$a'" $rc 125
		[ -s err ] || fail "'$a': nothing on stderr"
		[ "$(wc -l <err)" -le 2 ] || fail "'$a': $(cat err)"
		[ -s out ] && fail "'$a': something on stdout"
	done
	run --help
	is help $rc 0
	has out '^Usage: artrun'
	run --version
	is version $rc 0
	run -n 2 printf '%s ' -n 7 --tag-output --help
	is "options of the program" "$(sort -u out)" "-n 7 --tag-output --help "
}

t_what_a_rank_inherits() {
	exec 9</dev/null
	# No pipe inside: its ends would be descriptors of the shell that is looked at.
	run -n 1 sh -c 'ls /proc/$$/fd; echo launch $ART_LAUNCH_FD'
	exec 9<&-
	is "0 1 2 and the launch socket" "$(grep -v launch out | sort -n | tr '\n' ' ')" \
		"0 1 2 $(sed -n 's/^launch //p' out) "
	run -n 1 grep -E 'SigBlk|SigIgn' /proc/self/status
	is "signals" "$(awk '{ print $2 }' out | sort -u)" 0000000000000000
	run -n 2 sh -c 'echo $ART_RANK/$ART_SIZE'
	is numbers "$(sort out | tr '\n' ' ')" "0/2 1/2 "
	is cores "$("$artrun" echo x </dev/null | wc -l)" "$(nproc)"
}

t_signals_are_passed_on() {
	local s n
	for s in TERM:15 HUP:1 INT:2 QUIT:3; do
		n=${s#*:} s=${s%:*}
		rm -f pid.*
		begin -n 3 bash -c "trap 'echo got $s; exit 0' $s; echo \$\$ >pid.\$ART_RANK
			tail -f /dev/null >/dev/null & wait"
		await there 3
		kill -$s $job
		finish
		is "code after $s" $rc $((128 + n))
		is "$s came" "$(grep -cx "got $s" out)" 3
	done
	rm -f pid.*
	begin -n 2 bash -c "trap 'echo got USR1; exit 0' USR1; echo \$\$ >pid.\$ART_RANK
		tail -f /dev/null >/dev/null & wait"
	await there 2
	kill -USR1 $job
	finish
	is "code after USR1" $rc 0
	is "USR1 came" "$(grep -cx "got USR1" out)" 2
}

taken() { # artrun has taken the signal, or is at its end
	gone "$job" || grep -q '^ShdPnd:.*0000000000000000' "/proc/$job/status"
}

end_stubborn() { # end_stubborn N: TERM is ignored by all ranks and sent N times; ms until the end
	local began i
	rm -f pid.*
	begin -n 3 sh -c "trap '' TERM; $sleeper"
	await there 3
	began=${EPOCHREALTIME/./}
	for ((i = 0; i < $1; i++)); do
		kill -TERM $job
		await taken
	done
	finish
	ms=$(((${EPOCHREALTIME/./} - began) / 1000))
	is "code ($1)" $rc 143
	await all_gone pid.0 pid.1 pid.2
}

t_ranks_that_ignore_a_signal_are_killed() {
	end_stubborn 1
	[ $ms -ge 1990 ] || fail "killed after $ms ms, not 2 s"
	for attempt in 1 2 3 4 5; do # a loaded machine may be slow, but not for ever
		end_stubborn 2
		[ $ms -lt 1900 ] && return
	done
	fail "a second signal did not hasten the end: $ms ms"
}

t_stop_and_continue() {
	mkfifo gate.0 gate.1
	begin -n 2 sh -c 'echo $$ >pid.$ART_RANK; exec cat gate.$ART_RANK'
	await there 2
	echo $job >pid.artrun
	kill -TSTP $job
	await in_state T pid.0 pid.1 pid.artrun
	kill -CONT $job
	moving() { ! in_state T pid.0 && ! in_state T pid.1 && ! in_state T pid.artrun; }
	await moving
	: >gate.0 # opens when its reader does
	: >gate.1
	finish
	is code $rc 0
}

t_artrun_killed_leaves_nothing() {
	begin -n 5 sh -c "$sleeper"
	await there 5
	kill -KILL $job
	finish
	is code $rc 137
	await all_gone pid.*
}

t_kill_of_a_plain_rank() {
	begin -n 3 sh -c 'echo $$ >pid.$ART_RANK; [ $ART_RANK = 2 ] && exec tail -f /dev/null >/dev/null; exit 0'
	await there 3
	kill -KILL "$(cat pid.2)"
	finish
	is code $rc 137
	has err '^artrun: rank 2 \(pid [0-9]+\) was killed by signal 9 \(Killed\)$'
}

t_dead_ranks_keep_their_pids() {
	begin -n 2 sh -c 'echo $$ >pid.$ART_RANK; [ $ART_RANK = 1 ] && exec tail -f /dev/null >/dev/null; exit 0'
	await there 2
	await in_state Z pid.0
	kill -TERM "$(cat pid.1)"
	finish
	is code $rc 143
}

t_descendants_go_with_the_job() {
	run -n 2 sh -c 'tail -f /dev/null >/dev/null & echo $! >child.$ART_RANK; echo started'
	is code $rc 0
	is out "$(sort -u out)" started
	await all_gone child.0 child.1
}

t_timeout() {
	run -n 2 --timeout 0.2 tail -f /dev/null >/dev/null
	is code $rc 124
	has err '^artrun: the job did not end within 0.2 s; ending it$'
	run -n 2 --timeout 50 true
	is code $rc 0
}

t_job_of_one_without_artrun() {
	"$probe" >out 2>err
	is code $? 0
	has out '^rank 0 of 1, key '
	ART_LAUNCH_FD=999 "$probe" >out 2>err
	is "wrong descriptor" "$? $(cat out)" "4 open -15"
	ART_LAUNCH_FD=2x "$probe" >out 2>err
	is "no number" "$? $(cat out)" "4 open -15"
	"$probe" >out2 2>err
	! cmp -s out out2 || fail "two jobs of one have one key"
}

t_exchange() {
	local n
	for n in 1 2 64 200; do
		run -n $n "$probe"
		is "code of $n" $rc 0
		is "stderr of $n" "$(cat err)" ""
		is "ranks of $n" "$(grep -c "^rank [0-9]* of $n," out)" $n
		is "keys of $n" "$(sed 's/.*key//' out | sort -u | wc -l)" 1
	done
}

t_exchange_through_a_shell() {
	run -n 5 sh -c '"$probe"; exit $?'
	is code $rc 0
	is ranks "$(grep -c ' of 5,' out)" 5
	run -n 5 sh -c '"$probe" 3:table:kill; exit $?'
	is code $rc 0
	has err '^artrun: rank 3 \(pid [0-9]+\) ended without art_finalize; '"$others"
	is "lines on stderr" "$(grep -c ^artrun: err)" 1
}

t_a_rank_that_never_comes() {
	run -n 6 "$probe" 4:open:kill
	is code $rc 137
	is told "$(grep -cx 'exchange -9' out)" 5
	has err '^artrun: rank 4 \(pid [0-9]+\) was killed by signal 9 \(Killed\); '
	has err '^artrun: rank 4 ended or closed its place before .* fails$'
	has err '^artrun: all ranks were lost'
	run -n 6 "$probe" 0:start:exit=0
	is "never began: code" $rc 3
	is "never began: told" "$(grep -cx 'exchange -9' out)" 5
	has err '^artrun: rank 0 ended or closed its place before .* fails$'
}

t_losses() {
	run -n 8 "$probe" 3:table:kill
	is code $rc 0
	has err '^artrun: rank 3 \(pid [0-9]+\) was killed by signal 9 \(Killed\); '"$others"
	is "lines on stderr" "$(wc -l <err)" 1
	run -n 4 "$probe" 2:table:exit=7
	is "exit without finalize: code" $rc 0
	has err '^artrun: rank 2 \(pid [0-9]+\) exited with code 7 without art_finalize; '
	run -n 3 "$probe" '*:table:exit=0'
	is "all lost: code" $rc 1
	has err '^artrun: all ranks were lost: none reached art_finalize$'
	run -n 3 "$probe" '*:table:kill'
	is "all killed: code" $rc 137
	has err 'no rank is left$'
}

t_finalized_codes() {
	run -n 4 "$probe" 2:done:exit=5 3:done:exit=6 1:table:exit=9
	is "first of the finalized" $rc 5
	run -n 4 "$probe" 2:done:kill
	is "killed after finalize" $rc 137
}

t_abort() {
	run -n 6 "$probe" 2:table:abort=9 '*:table:pause'
	is code $rc 9
	has err '^artrun: rank 2 \(pid [0-9]+\) called art_abort with code 9; the job ends$'
	is "lines on stderr" "$(wc -l <err)" 1
	run -n 2 "$probe" 1:open:abort=256 '*:open:pause'
	is "code 256" $rc 1
}

t_leftovers() {
	run -n 4 "$probe" 3:table:stop
	is stopped $rc 0
	has err '^artrun: rank 3 \(pid [0-9]+\) was still stopped 1 s after all others had ended; killed$'
	run -n 4 "$probe" 1:table:pause
	is running $rc 0
	has err '^artrun: rank 1 \(pid [0-9]+\) still ran, not finalized, 1 s after .*; killed$'
}

t_work_after_finalize_is_not_a_leftover() {
	begin -n 3 sh -c 'echo $$ >pid.$ART_RANK; exec "$probe" 0:done:pause'
	await there 3
	await in_state Z pid.1 pid.2
	local end=$((SECONDS + 3))
	while [ $SECONDS -lt $end ]; do
		gone "$(cat pid.0)" && { fail "rank 0 was ended"; break; }
		pause
	done
	kill -KILL "$(cat pid.0)"
	finish
	is code $rc 137
	hasnt err 'killed$'
}

t_one_place_one_process() {
	run -n 3 "$probe" 1:table:reopen
	is code $rc 0
	has err '^artrun: rank 1: process [0-9]+ called art_init, but process [0-9]+ has this place; refused$'
	run -n 3 sh -c '"$probe" >/dev/null; "$probe"; exit 0'
	is "second program" "$(grep -cx 'open -13' out)" 3
}

t_garbage_from_a_rank() {
	run -n 3 "$probe" 1:open:garbage
	has err '^artrun: rank 1 sent what is no message of art_init'
	is told "$(grep -cx 'exchange -9' out)" 2
	run -n 3 "$probe" 1:table:garbage
	is "later" $rc 0
}

for case in $(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else declare -F | awk '$3 ~ /^t_/ { print $3 }'; fi); do
	rm -rf "${dir:?}"/*
	"$case"
done 2> >(grep -v ': line [0-9]*: *[0-9]* Killed ' >&2)
[ $failures = 0 ] && echo "test_artrun: all passed" || echo "test_artrun: $failures failures"
[ $failures = 0 ]
