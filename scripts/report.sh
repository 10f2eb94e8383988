# SPDX-License-Identifier: MIT
#
# Runs one test under its time limit and prints its line (sourced by runtests). Logs are kept in
# build/logs, one per test.

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

# run_one NAME LIMIT_S COMMAND...: exit 0 passes, 77 skips (the last line of output says why).
run_one() {
	local name=$1 limit=$2 log rc started secs
	shift 2
	log=$(log_of "$name")
	mkdir -p "$root/build/logs"
	started=${EPOCHREALTIME/./}
	timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
	rc=$?
	secs=$((${EPOCHREALTIME/./} - started))
	secs=$((secs / 1000000)).$((secs / 100000 % 10))
	case $rc in
	0) report_pass "$name" "$secs" ;;
	77) report_skip "$name" "$(tail -n 1 "$log")" ;;
	124 | 137) report_fail "$name" "$secs" "did not end within $limit s" "$log" ;;
	*) report_fail "$name" "$secs" "exit status $rc" "$log" ;;
	esac
	[ $rc = 0 ] || [ $rc = 77 ]
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
