# SPDX-License-Identifier: MIT
#
# What the scripts in tests/process share (sourced): one job at a time, in a directory of its own
# that goes with the script, under a time limit; waiting is for conditions.

build=$(realpath "${ART_BUILDDIR:-.}") || exit 1
artrun=$build/artrun
programs=$build/tests/process
failures=0
# Seconds: for what hangs, on machines of any speed. knockouts.py has less patience.
job_limit=${JOB_LIMIT_S:-240}

dir=$(mktemp -d) || exit 1
job=
end_all() {
	[ -z "$job" ] || kill "$job" 2>/dev/null
	rm -rf "$dir"
}
trap end_all EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
exec {never}<> <(:) # a descriptor with nothing to read, for pauses between two looks

complain() {
	echo "FAIL: $*"
	sed 's/^/    out: /' out | tail -n 10
	sed 's/^/    err: /' err | tail -n 20
	failures=$((failures + 1))
}

# ---- in a case: a function t_NAME, whose name is in $case ----

is() { # is WHAT GOT WANT
	[ "$2" = "$3" ] || complain "$case: $1: got '$2', want '$3'"
}
until_said() { # FILE PATTERN
	await grep -Eq -- "$2" "$1" || complain "$case: '$2' does not come in $1"
}
# pid_of RANK: its number on its own host, from "rank R is process P".
pid_of() { sed -n "s/^rank $1 is process //p" out; }

# run_cases [CASE...]: those, or all, each after the script's before_case, if there is one; the script's exit
# status.
run_cases() {
	local case began
	[ $# -gt 0 ] || set -- $(declare -F | awk '$3 ~ /^t_/ { print $3 }')
	for case in "$@"; do
		began=$SECONDS
		! declare -F before_case >/dev/null || before_case
		"$case"
		echo "$case: $((SECONDS - began)) s"
	done
	verdict
}

# run COMMAND...: to its end, into out, err and rc.
run() {
	timeout -k 5 "$job_limit" "$@" >out 2>err </dev/null
	rc=$?
}

# begin COMMAND...: in the background, as $job.
begin() {
	: >out
	: >err
	timeout -k 5 "$job_limit" "$@" >out 2>err </dev/null &
	job=$!
}

finish() { # the end of what begin() began, into rc
	wait "$job"
	rc=$?
	job=
}

# await COMMAND...: until it succeeds. False: the job has ended without, which its limit bounds.
await() {
	local over
	while :; do
		kill -0 "$job" 2>/dev/null && over= || over=1
		"$@" >/dev/null 2>&1 && return # looked at after the job: its last words count
		[ -z "$over" ] || return 1
		read -rt 0.02 -u "$never"
	done
}

# early_views [LEFT]: the views in the log that somebody left, or LEFT, as RANK VIEW, but for those that end a
# finalize: on a busy machine the end of a process that was through may be seen before its goodbye.
early_views() {
	local rank view of='^art: \[rank ([0-9]+)\] info: view ([0-9]+): [0-9]+ members, left: '
	sed -nE "s/$of${1-[0-9]}.*/\1 \2/p" err |
		while read -r rank view; do
			grep -q "^art: \[rank $rank\] info: view $view: finalize " err || echo "$rank $view"
		done
}

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

verdict() {
	[ $failures = 0 ] || echo "$failures failed"
	[ $failures = 0 ]
}
