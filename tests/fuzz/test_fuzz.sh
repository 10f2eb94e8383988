#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: every fuzz target over its corpus and a bounded number of seeded mutations.
# ART_FUZZ_SEED and ART_FUZZ_RUNS choose them; a failure prints the seed.
set -u
shopt -s nullglob
src=${ART_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${ART_BUILDDIR:-.}
seed=${ART_FUZZ_SEED:-1}
runs=${ART_FUZZ_RUNS:-1000000}

# A run of fuzz_core is a whole job of several ranks, one of fuzz_hello a connection, one of
# fuzz_wire a message.
runs_of() {
	case $1 in
	fuzz_core) echo $((runs / 1000)) ;;
	fuzz_hello) echo $((runs / 200)) ;;
	*) echo "$runs" ;;
	esac
}

fuzz() {
	local target=$1 corpus=$src/tests/fuzz/corpus/${1#fuzz_}
	local program=$build/tests/fuzz/$target count
	count=$(runs_of "$target")
	if grep -q LLVMFuzzerRunDriver "$program"; then
		local work
		work=$(mktemp -d) || return 1
		"$program" -seed="$seed" -runs="$count" -max_len=512 -artifact_prefix="$work/" \
			"$work" "$corpus"*
	else
		"$program" "$seed" "$count" "$corpus"/*
	fi
}

failed=0
for source in "$src"/tests/fuzz/fuzz_*.c; do
	target=$(basename "$source" .c)
	fuzz "$target" || { echo "$target failed: ART_FUZZ_SEED=$seed ART_FUZZ_RUNS=$runs"; failed=1; }
done
exit $failed
