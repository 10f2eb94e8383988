#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The figure for recovery: K jobs (default 50) of N ranks (default 8) that run allreduces of BYTES
# (default 8; 1M, say), in each of which one rank is killed at a random instant; median and 99th percentile
# of the slowest survivor, and what one takes in the same jobs while nothing fails. A job can only lose
# ranks, so every kill has a job of its own.
#
#   benchmarks/recover.sh [K [N [SEED [BYTES]]]]      ARTRUN and ART_BENCH name the two programs
set -eu

kills=${1:-50}
ranks=${2:-8}
seed=${3:-1}
bytes=${4:-8}
artrun=${ARTRUN:-artrun}
bench=${ART_BENCH:-art-bench}

if [ $# -gt 4 ] || ! [ "$kills" -gt 0 ] 2>/dev/null || ! [ "$ranks" -gt 1 ] 2>/dev/null; then
	echo "usage: recover.sh [KILLS [RANKS [SEED [BYTES]]]]" >&2
	exit 2
fi

out=$(mktemp)
log=$(mktemp)
trap 'rm -f "$out" "$log"' EXIT
trap 'exit 130' INT TERM

i=0
while [ "$i" -lt "$kills" ]; do
	if ! timeout -k 5 60 "$artrun" -n "$ranks" "$bench" recover --json \
		--bytes "$bytes" --seed $((seed + i)) >>"$out" 2>"$log"; then
		echo "recover.sh: job with seed $((seed + i)) failed:" >&2
		cat "$log" >&2
		exit 1
	fi
	i=$((i + 1))
done

# values NAME: those of that member of the JSON, in order.
values() { sed -n "s/.*\"$1\": \(-*[0-9.]*\).*/\1/p" "$out" | sort -n; }

values ms | awk -v kills="$kills" -v ranks="$ranks" -v bytes="$bytes" '
	{ ms[NR] = $1 }
	END {
		if (NR != kills) {
			print "recover.sh: only " NR " results from " kills " jobs"
			exit 1
		}
		p99 = int(NR * 0.99) + 1
		if (p99 > NR)
			p99 = NR
		printf "recover: %d jobs of %d ranks, %s bytes, SIGKILL to the next result at the " \
		       "slowest survivor: median %.3f ms, p99 %.3f ms, worst %.3f ms\n", NR, ranks,
		       bytes, ms[int(NR * 0.5) + 1], ms[p99], ms[NR]
	}'

# Medians by phase, each by itself: they need not add up.
for phase in detection freeze decision install replay; do
	values "$phase" |
		awk -v phase="$phase" '{ ms[NR] = $1 } END { printf "  %s %.3f", phase, ms[int(NR * 0.5) + 1] }'
done
echo "  (ms, medians)"
values without_loss_ms | awk '{ ms[NR] = $1 }
	END { printf "  one without a loss %.3f ms (median of the jobs'"'"' medians)", ms[int(NR * 0.5) + 1] }'
values more_ms | awk '{ ms[NR] = $1 }
	END { printf "; the loss costs %.3f ms more (median), at worst %.3f ms\n", ms[int(NR * 0.5) + 1], ms[NR] }'
