#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: every fuzz target over its corpus, then over seeded mutations for some time; two at
# a time. ART_FUZZ_SEED and ART_FUZZ_SECONDS (of each target) choose them. An input that fails stays in
# ART_FUZZ_OUT (tests/fuzz of the build), and the command that repeats it is printed.
# Usage: test_fuzz.sh [TARGET]...
set -u
shopt -s nullglob
src=$(realpath "${ART_SRCDIR:-$(dirname "$0")/../..}") || exit 1
build=$(realpath "${ART_BUILDDIR:-.}") || exit 1
seed=${ART_FUZZ_SEED:-1}
seconds=${ART_FUZZ_SECONDS:-2}
out=$(realpath "${ART_FUZZ_OUT:-$build/tests/fuzz}") || exit 1

fuzz() {
	local target=$1 corpus=$src/tests/fuzz/corpus/${1#fuzz_}
	local program=$build/tests/fuzz/$target
	cd "$out" || return 1
	if grep -q LLVMFuzzerRunDriver "$program"; then
		local work status
		work=$(mktemp -d) || return 1
		"$program" -seed="$seed" -max_total_time="$seconds" -max_len=512 \
			-artifact_prefix="$out/$target-" "$work" "$corpus"*
		status=$?
		rm -rf "$work"
		return $status
	fi
	"$program" "$seed" "${seconds}s" "$corpus"/*
}

[ $# -gt 0 ] || set -- $(basename -s .c "$src"/tests/fuzz/fuzz_*.c)
failed=0
while [ $# -gt 0 ]; do
	running=()
	for target in "${@:1:2}"; do
		[ -x "$build/tests/fuzz/$target" ] || { echo "there is no $build/tests/fuzz/$target"; exit 1; }
		fuzz "$target" &
		running+=($!)
	done
	for pid in "${running[@]}"; do
		wait "$pid" || { echo "$1 or what ran beside it failed: ART_FUZZ_SEED=$seed"; failed=1; }
	done
	shift ${#running[@]}
done
exit $failed
