#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: N real jobs of 2 to 16 ranks in which ranks are killed with SIGKILL at random instants -
# one, the root, two, all but one, during init or finalize, in large messages, over shared memory and
# over TCP - and which must neither hang nor get a byte wrong nor leave a process, socket, memory
# segment or file behind.
set -u
LC_ALL=C

usage() {
	cat <<'END'
usage: campaign_kill.sh [JOBS [FIRST_SEED]]

Kill-and-finish jobs: each runs random collectives, checked byte by byte, while ranks are killed with
SIGKILL. A job fails if it hangs, if a survivor gets a wrong result or survivors differ, if artrun's exit
code is not the right one, or if a process, socket, memory segment or file of it is left when it returns.

  JOBS        how many jobs                      (default: CAMPAIGN_JOBS from the environment, or 200)
  FIRST_SEED  the seed of the first one          (default: 1)
  --help      this text

A job is named by its seed: ranks, operations, transport, who is killed and when follow from it. So
"campaign_kill.sh 1 SEED" repeats one job, and "campaign_kill.sh 400 601" goes on after 600 jobs; when it
is interrupted, or a job fails, the command to go on with is printed. About a second a job on two cores.

Where the system allows it (root, or user namespaces) the jobs run in namespaces of their own, in which
every process, socket and segment is theirs; elsewhere these are found by name, and sockets only as those
of processes that are left. The last lines say which.

Environment:
  ART_BUILDDIR   where the programs are           (default: .)
  ARTRUN         artrun                           (default: ART_BUILDDIR/artrun)
  T_KILLED       the program of the jobs          (default: ART_BUILDDIR/tests/process/t_killed)
  ART_TRANSPORT  this transport for all jobs      (default: drawn for each)

Exit code: 0 all right, 1 a job failed, 2 wrong command line, 130 interrupted.
END
}

case ${1-} in
-h | --help) usage; exit 0 ;;
esac
jobs=${1:-${CAMPAIGN_JOBS:-200}}
first=${2:-1}
artrun=${ARTRUN:-${ART_BUILDDIR:-.}/artrun}
program=${T_KILLED:-${ART_BUILDDIR:-.}/tests/process/t_killed}
limit=300 # seconds: a job takes about one; only a hang gets here
patience=10 # seconds for the system to take down what closed sockets leave

if [ $# -gt 2 ] || ! [ "$jobs" -gt 0 ] 2>/dev/null || ! [ "$first" -ge 0 ] 2>/dev/null; then
	echo "campaign_kill: '$*' is no number of jobs and a seed; see campaign_kill.sh --help" >&2
	exit 2
fi
for needed in "$artrun" "$program"; do
	if ! command -v "$needed" >/dev/null; then
		echo "campaign_kill: $needed is not there; build it first" >&2
		exit 1
	fi
done

# ---- outside: a directory, namespaces if there are any, and what is said at an interruption ----

set_up_apart() {
	mount -t tmpfs none /dev/shm && ip link set lo up
}

# Prints the command that puts another into namespaces of its own, or nothing.
namespaces() {
	local user=()

	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	set -- unshare "${user[@]}" --net --ipc --mount --pid --fork --kill-child=KILL --mount-proc
	"$@" bash -c "$(declare -f set_up_apart); set_up_apart" 2>/dev/null && echo "$@"
}

outside() {
	local inner status

	dir=$(mktemp -d) || exit 1
	trap 'rm -rf "$dir"' EXIT
	apart=$(namespaces)
	# shellcheck disable=SC2086  # the prefix is words
	CAMPAIGN_KILL_DIR=$dir CAMPAIGN_KILL_APART=$apart $apart bash "$0" "$jobs" "$first" </dev/null &
	inner=$!
	# With namespaces the end of this one process is the end of all.
	end=TERM
	[ -z "$apart" ] || end=KILL
	trap 'kill -s $end "$inner"; interrupted=1' INT TERM
	interrupted=0
	wait "$inner"
	status=$?
	if [ $interrupted = 1 ]; then
		wait "$inner" 2>/dev/null
		go_on "$(cat "$dir/seed" 2>/dev/null || echo "$first")"
		status=130
	fi
	exit "$status"
}

go_on() { # $1: seed
	printf '\ncampaign_kill: to go on: %s %d %d\n' "$0" $((first + jobs - $1)) "$1" >&2
}

# ---- inside: drawing a job ----

random_state=0
random() # $1: limit; result in $drawn
{
	random_state=$((random_state * 6364136223846793005 + 1442695040888963407))
	drawn=$((((random_state >> 33) & 0x3fffffff) % $1))
}

# How large the job is.
draw_job() {
	local sizes=(2 3 4 5 6 8 8 8 8 12 16) transports=(shm tcp)

	random ${#sizes[@]}; ranks=${sizes[drawn]}
	random 4; ops=$(((drawn + 1) * 100))
	random 2; transport=${ART_TRANSPORT:-${transports[drawn]}}
}

# Who dies when. $span is the length of the run phase of such a job without a loss, so that the
# instants fall into it on any machine.
draw_kills() {
	local a b
	kills='' count=0
	random 20; local kind=$drawn
	random $ranks; a=$drawn
	random $((ranks - 1)); b=$(((a + 1 + drawn) % ranks))
	random "$span"; local at=$drawn
	random 2000; local later=$drawn
	large=0
	[ $ranks -gt 2 ] || case $kind in
	7 | 8 | 9 | 10 | 11) kind=0 ;; # somebody has to survive
	esac
	case $kind in
	0 | 1 | 2 | 3 | 4) plan="one rank"; kills="--kill $a:run:$at"; count=1 ;;
	5 | 6) plan="the root"; kills="--kill 0:run:$at"; count=1 ;;
	7 | 8 | 9) plan="two together"; kills="--kill $a:run:$at --kill $b:run:$at"; count=2 ;;
	10 | 11) plan="one in the other's recovery"
		kills="--kill $a:run:$at --kill $b:run:$((at + later))"; count=2 ;;
	12 | 13) plan="one, large messages"; large=131072
		kills="--kill $a:run:$((at * 4))"; count=1 ;;
	14) plan="all but one"
		for ((r = 0; r < ranks; r++)); do
			random 3000
			[ "$r" = "$a" ] || kills="$kills --kill $r:run:$((at + drawn))"
		done
		count=$((ranks - 1)) ;;
	15 | 16) plan="in init"; random 30000; kills="--kill $a:init:$drawn"; count=1 ;;
	17 | 18) plan="in finalize"; random 500; kills="--kill $a:finalize:$drawn"; count=1 ;;
	19) plan="nobody" ;;
	esac
}

run_job() # results in $status and $took (us)
{
	local began

	job=$dir/$seed
	mkdir -p "$job/scratch/tmp" || exit 1
	arguments="--seed $seed --ops $ops --max-count $large --dir $job/scratch $kills"
	began=${EPOCHREALTIME/./}
	# shellcheck disable=SC2086  # the arguments are words
	ART_ERRORS=return ART_TRANSPORT=$transport TMPDIR=$job/scratch/tmp timeout -k 5 "$limit" \
		"$artrun" -n $ranks "$program" $arguments >"$job/out" 2>"$job/err" </dev/null
	status=$?
	took=$((${EPOCHREALTIME/./} - began))
}

# How long does the run phase of a job of 100 operations take here? One for each number of ranks and
# transport, when first needed.
declare -A spans
measure() # result in $span
{
	local key="$ranks $transport" wanted=$ops

	if [ -z "${spans[$key]-}" ]; then
		plan=measuring kills='' count=0 large=0 ops=100
		run_job
		check_job
		spans[$key]=$(sed -n 's/^rank 0 ran \([0-9]*\) us$/\1/p' "$job/out")
		rm -rf "$job"
		ops=$wanted
	fi
	span=$((${spans[$key]} * ops / 100))
}

# ---- inside: checking it ----

failed() # $1: what
{
	echo "FAIL campaign_kill: seed $seed ($plan, $ranks ranks, $transport): $1" >&2
	echo "  to repeat: $0 1 $seed" >&2
	echo "  or: ART_ERRORS=return ART_TRANSPORT=$transport $artrun -n $ranks $program $arguments" >&2
	sed 's/^/  stdout: /' "$job/out" | tail -n 20 >&2
	sed 's/^/  stderr: /' "$job/err" | tail -n 40 >&2
	[ "$seed" = "$last" ] || go_on $((seed + 1))
	exit 1
}

# Processes that are left; result in $left. artrun reaps its ranks before it returns, so there is
# nothing to wait for. Alone in a process namespace it is everyone but this shell; whoever has ended and
# waits for being reaped by it is not left.
find_processes() {
	local path name

	left=
	if [ -z "$apart" ]; then
		left=$(grep -lsa -- "$job/[s]cratch" /proc/[0-9]*/cmdline | tr '\n' ' ')
		return
	fi
	for path in /proc/[0-9]*; do
		name=
		[ "$path" = "/proc/$$" ] || ! read -r name <"$path/stat" || [[ $name == *") Z "* ]] ||
			left="$left$name "
	done 2>/dev/null
}

# Sockets in this network namespace, in $left, but for those which the system keeps for a while in case
# a segment comes late (06, TIME_WAIT), or the other end's last one is to come (05, FIN_WAIT2, of no process, inode 0):
# nobody can use them. That end, if there is one, is another socket.
find_sockets() {
	left=
	[ -z "$apart" ] || left=$(cd /proc/net && cat tcp tcp6 udp udp6 unix 2>/dev/null | awk '
		$1 == "sl" || $1 == "Num" { next }
		length($1) > 8 { print "unix", $NF; next }
		$4 != "06" && !($4 == "05" && $10 == 0) { print $2 "-" $3, "(" $4 ")" }' | tr '\n' ' ')
}

# Shared memory; alone all that there is, otherwise what has our name and was not there before.
find_segments() {
	local number rest name='*art*'

	[ -z "$apart" ] || name='*'
	left=$(find /dev/shm -mindepth 1 -maxdepth 1 -iname "$name" 2>/dev/null | sort | tr '\n' ' ')
	[ "$left" != "$before" ] || left=
	[ -n "$apart" ] || return 0
	while read -r number rest; do
		[ "$number" = key ] || left="${left}System V segment $rest "
	done </proc/sysvipc/shm
}

find_files() {
	left=$(ls -A "$job/scratch/tmp")
}

# A socket that was closed may still have bytes to send to one that is no more.
await_no_sockets() {
	local end=$((SECONDS + patience))

	find_sockets
	while [ -n "$left" ] && [ $SECONDS -lt $end ]; do
		sleep 0.02
		find_sockets
	done
}

check_survivors() {
	local survivors histories
	survivors=$(grep -c ' survived, history ' "$job/out")
	histories=$(sed -n 's/.* survived, history //p' "$job/out" | sort -u | wc -l)
	# A rank killed after it had finalized counts as one that did not return 0.
	[ "$status" -eq 0 ] || { [ "$plan" = "in finalize" ] && [ "$status" -eq 137 ]; } ||
		failed "artrun exited with $status"
	[ "$survivors" -eq $((ranks - count)) ] ||
		failed "$survivors ranks survived, not $((ranks - count))"
	[ "$histories" -eq 1 ] || failed "survivors saw different outcomes"
}

check_job() {
	[ "$status" -ne 124 ] || failed "still running after $limit s"
	! grep -q '^FAIL' "$job/err" || failed "a rank found a wrong result"
	# A rank that dies before all have met may end the job, but then for everyone and at once.
	if [ "$plan" = "in init" ] && ! grep -q ' survived, ' "$job/out"; then
		[ "$status" -ne 0 ] || failed "artrun exited with 0, but no rank survived"
		refused=$((refused + 1))
	else
		check_survivors
	fi
	find_processes
	[ -z "$left" ] || failed "processes left behind: $left"
	await_no_sockets
	[ -z "$left" ] || failed "sockets left behind: $left"
	find_segments
	[ -z "$left" ] || failed "memory segments left behind: $left"
	find_files
	[ -z "$left" ] || failed "files left behind: $left"
}

# Would the looks above notice anything? One of each kind is put there.
prove_looks() {
	local process seen='' fd

	job=$dir/looks
	mkdir -p "$job/scratch/tmp" || exit 1
	bash -c 'exec -a "$0" sleep 1000' "$job/scratch" &
	process=$!
	until find_processes; [ -n "$left" ]; do
		kill -0 "$process" 2>/dev/null || break
	done
	[ -n "$left" ] || seen="$seen process"
	kill "$process"
	wait "$process" 2>/dev/null
	if [ -n "$apart" ]; then
		exec {fd}<>/dev/udp/127.0.0.1/9
		find_sockets
		[ -n "$left" ] || seen="$seen socket"
		exec {fd}>&-
		: >/dev/shm/art-look
		find_segments
		[ -n "$left" ] || seen="$seen segment"
		rm /dev/shm/art-look
	fi
	: >"$job/scratch/tmp/file"
	find_files
	[ -n "$left" ] || seen="$seen file"
	rm -rf "$job"
	[ -z "$seen" ] || { echo "FAIL campaign_kill: would not notice what is left: $seen" >&2; exit 1; }
}

# ---- inside: all of it ----

progress() # after each job
{
	local done=$((seed - first + 1)) width=40 bar

	if [ -t 2 ]; then
		printf -v bar '%*s' $((done * width / jobs)) ''
		printf '\r[%-*s] %d of %d jobs, %d s ' $width "${bar// /#}" "$done" "$jobs" $SECONDS >&2
		[ "$done" -lt "$jobs" ] || echo >&2
	elif [ $((done % 50)) = 0 ] && [ "$done" -lt "$jobs" ]; then
		echo "campaign_kill: $done of $jobs jobs, $SECONDS s"
	fi
}

report() {
	local n

	# shellcheck disable=SC2207  # numbers
	times=($(printf '%s\n' "${times[@]}" | sort -n))
	n=${#times[@]}
	echo "campaign_kill: $jobs jobs (seeds $first to $last), $killed ranks killed:"
	if [ -n "$apart" ]; then
		echo "  no hang, no wrong byte, no process, socket, memory segment or file left behind"
	else
		echo "  no hang, no wrong byte, no process, named memory segment or file left behind"
		echo "  (no namespaces here: sockets are known only as those of processes, of which none is left)"
	fi
	for plan in "${!hit[@]}"; do
		echo "  $plan: ${hit[$plan]}"
	done | sort
	[ "$refused" -eq 0 ] || echo "  (in init: $refused ended alike for all, before they had met)"
	for plan in "${!sorts[@]}"; do
		echo "  $plan: ${sorts[$plan]}"
	done | sort -n
	awk -v m="${times[n / 2]}" -v w="${times[n - 1]}" -v s="$slowest" -v t="$SECONDS" 'BEGIN {
		printf "  a job: median %.2f s, worst %.2f s (seed %d); all: %d s\n", m / 1e6, w / 1e6, s, t }'
}

inside() {
	local worst=0

	trap 'exit 130' INT TERM
	[ -z "$apart" ] || set_up_apart || exit 1
	refused=0 killed=0 times=() slowest=$first
	declare -gA hit sorts
	before=
	find_segments
	before=$left
	prove_looks
	last=$((first + jobs - 1))
	for ((seed = first; seed <= last; seed++)); do
		echo "$seed" >"$dir/seed"
		random_state=$seed
		random 1000
		draw_job
		measure
		draw_kills
		run_job
		check_job
		rm -rf "$job"
		hit[$plan]=$((${hit[$plan]:-0} + 1))
		sorts["$ranks ranks"]=$((${sorts["$ranks ranks"]:-0} + 1))
		sorts["over $transport"]=$((${sorts["over $transport"]:-0} + 1))
		killed=$((killed + count))
		times+=("$took")
		[ "$took" -le "$worst" ] || { worst=$took; slowest=$seed; }
		progress
	done
	report
}

if [ -z "${CAMPAIGN_KILL_DIR-}" ]; then
	outside
fi
dir=$CAMPAIGN_KILL_DIR
apart=${CAMPAIGN_KILL_APART-}
inside
