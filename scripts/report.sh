# SPDX-License-Identifier: MIT
#
# Runs tests under their time limits, as many at a time as there are lanes, and prints a line for
# each as it ends (sourced by runtests after builds.sh). Logs are kept in build/logs, one per test.

passed=0
failed=0
skipped=0
skip_lines=()

report_pass() {
	passed=$((passed + 1))
	printf 'PASS %s (%s s)\n' "$1" "$2"
}

report_fail() {
	failed=$((failed + 1))
	printf 'FAIL %s (%s s): %s\n' "$1" "$2" "$3"
	[ ! -s "$4" ] || tail -n 30 "$4" | sed 's/^/    /'
}

report_skip() {
	skipped=$((skipped + 1))
	skip_lines+=("SKIP $1: $2")
	printf 'SKIP %s: %s\n' "$1" "$2"
}

log_of() {
	printf '%s/build/logs/%s.log' "$root" "$(printf %s "$1" | tr '/:' '__')"
}

# The lanes: so many tests run at a time, each with a process of its own here.
declare -A lane_of=() # process -> name of the test it runs
lanes=${ART_TEST_JOBS:-$((jobs + 1))} # tests of processes wait most of their time
case $lanes in
*[!0-9]* | '' | 0) echo "ART_TEST_JOBS=$lanes is not a number of tests" >&2; exit 2 ;;
esac

# In a lane: runs the test and leaves how it ended beside its log, for settle().
in_lane() {
	local log=$1 limit=$2 started secs rc
	shift 2
	started=${EPOCHREALTIME/./}
	timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null &
	trap 'kill -TERM $! 2>/dev/null' TERM
	wait $!
	rc=$?
	secs=$((${EPOCHREALTIME/./} - started))
	echo "$rc $limit $((secs / 1000000)).$((secs / 100000 % 10))" >"$log.end"
}

# start_one NAME LIMIT_S COMMAND...: exit 0 passes, 77 skips (the last line of output says why).
# Waits for a free lane first.
start_one() {
	local name=$1 log
	log=$(log_of "$name")
	mkdir -p "$root/build/logs"
	rm -f "$log.end"
	while [ ${#lane_of[@]} -ge "$lanes" ]; do
		settle_one
	done
	in_lane "$log" "${@:2}" &
	lane_of[$!]=$name
}

# report_end NAME: how its process left it; fails if the test did not pass or skip.
report_end() {
	local name=$1 log rc=1 limit=0 secs=0 why
	log=$(log_of "$name")
	read -r rc limit secs <"$log.end"
	rm -f "$log.end"
	case $rc in
	0) report_pass "$name" "$secs" ;;
	77) report_skip "$name" "$(tail -n 1 "$log")" ;;
	124 | 137)
		# A test may have bounds of its own, which end with the same status.
		[ "${secs%.*}" -ge "$limit" ] && why="did not end within $limit s" || why="exit status $rc"
		report_fail "$name" "$secs" "$why" "$log" ;;
	*) report_fail "$name" "$secs" "exit status $rc" "$log" ;;
	esac
	[ "$rc" = 0 ] || [ "$rc" = 77 ]
}

# Waits for the end of some test and reports it; fails if the test did not pass or skip.
settle_one() {
	local pid name
	wait -n -p pid "${!lane_of[@]}"
	name=${lane_of[$pid]}
	unset "lane_of[$pid]"
	report_end "$name"
}

settle_all() {
	while [ ${#lane_of[@]} -gt 0 ]; do
		settle_one
	done
}

# run_alone NAME LIMIT_S COMMAND...: with nothing beside it, for what uses every core.
run_alone() {
	settle_all
	start_one "$@"
	settle_one
}

# On a signal: nothing that was started here stays behind.
stop_lanes() {
	trap - INT TERM
	[ ${#lane_of[@]} = 0 ] || kill -TERM "${!lane_of[@]}" 2>/dev/null
	wait
	echo "runtests: stopped" >&2
	exit 130
}

# The reasons again, then the one line that counts.
summary() {
	local line
	echo
	for line in "${skip_lines[@]}"; do
		printf '%s\n' "$line"
	done
	printf '%d passed, %d failed' "$passed" "$failed"
	[ "$skipped" = 0 ] || printf ', %d skipped' "$skipped"
	echo
	[ "$failed" = 0 ]
}
