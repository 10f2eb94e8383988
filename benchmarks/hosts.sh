#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Figures for deaths on other hosts: K jobs (default 20) of a rank on each of N hosts (4) that
# tests/lab makes on this machine, one clock for all; in each job one rank is killed at a random
# instant. Printed are the times from SIGKILL to the certificate that the agent of its host sends, and to
# the first result without it at the slowest survivor. Needs root.
#
#   benchmarks/hosts.sh [K [N [SEED]]]      ARTRUN and ART_BENCH name the two programs
set -eu

kills=${1:-20}
hosts=${2:-4}
seed=${3:-1}
artrun=$(command -v "${ARTRUN:-artrun}")
bench=$(command -v "${ART_BENCH:-art-bench}")
lab=$(cd "$(dirname "$0")/.." && pwd)/tests/lab/lab.sh

dir=$(mktemp -d)
export ART_LAB=$dir/lab
trap 'bash "$lab" down; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
bash "$lab" check
bash "$lab" up "$hosts"

for ((i = 0; i < kills; i++)); do
	: >"$dir/page"
	if ! ART_BENCH_PAGE=$dir/page timeout -k 5 60 bash "$lab" exec 0 "$artrun" -v -n "$hosts" \
		--map-by host --hosts "art[1-$hosts]" "$bench" recover --json --seed $((seed + i)) \
		>"$dir/out" 2>"$dir/err"; then
		echo "hosts.sh: job with seed $((seed + i)) failed:" >&2
		cat "$dir/out" "$dir/err" >&2
		exit 1
	fi
	victim=$(sed -n 's/.*"victim": \([0-9]*\).*/\1/p' "$dir/out")
	killed=$(sed -n 's/.*"killed_ns": \([0-9]*\).*/\1/p' "$dir/out")
	seen=$(sed -n "s/.* certifies the end of rank $victim, seen at \([0-9]*\) ns\$/\1/p" "$dir/err")
	echo "$(sed -n 's/.*"ms": \([0-9.]*\).*/\1/p' "$dir/out") $(((seen - killed) / 1000))"
done >"$dir/times"

# figure COLUMN SCALE WHAT: median, worst of that column in ms
figure() {
	awk -v c="$1" -v s="$2" '{ print $c * s }' "$dir/times" | sort -n | awk -v what="$3" '
		{ ms[NR] = $1 }
		END { printf "%s: median %.3f ms, worst %.3f ms\n", what, ms[int(NR / 2) + 1], ms[NR] }'
}
echo "$kills jobs of a rank on each of $hosts hosts, one killed in each; from SIGKILL"
figure 2 0.001 "to the certificate of its host's agent"
figure 1 1 "to the next result at the slowest survivor"
