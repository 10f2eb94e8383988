#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Figures for the rdma transport, in one run of the virtual machine that tests/lab/rdma makes: the device
# as perftest sees it beside ART's transport alone (tests/bench/wire) and beside collectives on the same two
# hosts; every collective over rdma beside TCP on the same
# links; and SIGKILL of one of four to the next result. Whatever is compared runs in turn, ROUNDS times
# (default 3) or until 100 s are over, then KILLS jobs (5) per transport or until 200 s are over; printed
# are medians and their ratios, and of how many. An emulated machine's times are its own: ratios only.
#
#   benchmarks/rdma.sh [ROUNDS [KILLS]]      ARTRUN, ART_BENCH and WIRE name the programs; wire is made
#                                            with the tests, in tests/bench of a build
# RDMA_BENCH_ITERS: iterations of an 8-byte operation in a job (300). RDMA_BENCH_SECONDS: of the rounds.
set -eu
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
lab=$(realpath "$here/../tests/lab")
rounds=${1:-3} kills=${2:-5} iters=${RDMA_BENCH_ITERS:-300} seconds=${RDMA_BENCH_SECONDS:-100}
for n in "$rounds" "$kills" "$iters" "$seconds"; do
	[ "$n" -gt 0 ] 2>/dev/null || { echo "usage: rdma.sh [ROUNDS [KILLS]]" >&2; exit 2; }
done
artrun=$(command -v "${ARTRUN:-artrun}")
bench=$(command -v "${ART_BENCH:-art-bench}")
wire=$(command -v "${WIRE:-$(dirname "$(realpath "$bench")")/tests/bench/wire}") ||
	{ echo "rdma.sh: no tests/bench/wire beside $bench: build the tests" >&2; exit 2; }

if [ -z "${ART_LAB_HOSTS-}" ]; then
	"$lab/rdma" check || exit 1
	"$lab/rdma" up >/dev/null
	exec "$lab/rdma" run --hosts 4 --memory 1536 --time $((3 * seconds + 200)) --env "ARTRUN=$(realpath "$artrun")" \
		--env "ART_BENCH=$(realpath "$bench")" --env "WIRE=$(realpath "$wire")" --env ART_CONFIG= --env "RDMA_BENCH_ITERS=$iters" \
		--env "RDMA_BENCH_SECONDS=$seconds" -- \
		bash "$here/rdma.sh" "$rounds" "$kills"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"

# ---- one measurement each; a line "KEY VALUE" into a file --------------------------------------------

note() { echo "$2" >>"$dir/$1"; }

# perftest between hosts 2 and 1: PROGRAM BYTES ITERATIONS COLUMN-OF-THE-RESULT
perf() {
	local program=$1 out=$dir/perf pid words
	words="-F -x 1 -s $2 -n $3"
	timeout -k 5 60 "$program" -d rxe0 $words >"$dir/server" 2>&1 &
	pid=$!
	until grep -q ':4853 .* 0A ' /proc/net/tcp /proc/net/tcp6; do # listens at 18515, perftest's port
		kill -0 $pid 2>/dev/null || { cat "$dir/server" >&2; exit 1; }
		sleep 0.1
	done
	timeout -k 5 60 "$program" -d rxe1 $words 10.77.0.1 >"$out" 2>&1 || { cat "$out" >&2; exit 1; }
	wait $pid
	note "$program" "$(awk -v bytes="$2" -v c="$4" '$1 == bytes { print $c }' "$out")"
}

# The transport between the same two, without collectives: NAME ping|lent BYTES COUNT
on_wire() {
	local name=$1
	shift
	timeout -k 5 60 "$wire" rdma,tcp 10.77.0.1 10.77.0.2 "$@" >"$dir/wire" 2>"$dir/err" &&
		grep -q rdma "$dir/wire" || { cat "$dir/wire" "$dir/err" >&2; exit 1; }
	note "wire.$name" "$(awk '{ print $1 }' "$dir/wire")"
}

no_raw() { [ "$1" = recover ] || echo --no-raw; }

# art TRANSPORTS RANKS WORDS...: art-bench's objects, one a line
art() {
	local over=$1 n=$2
	shift 2
	ART_TRANSPORT=$over timeout -k 5 120 "$artrun" -n "$n" bash "$lab/rdma_host.sh" "$bench" "$@" --json $(no_raw "$1") \
		2>"$dir/err" | grep -E '"(op|bytes|ms)":' || { cat "$dir/err" >&2; exit 1; }
}
field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" | head -n 1; }

# collectives BYTES ITERATIONS OPERATION...: all of them in one job per transport
collectives() {
	local over bytes=$1 n=$2 name value
	shift 2
	for over in rdma,tcp tcp; do
		art $over 2 "$@" --sizes "$bytes:$bytes" --iters "$n" >"$dir/json"
		while read -r name value; do
			note "$name.$bytes.${over%,*}" "$value"
		done < <(awk -F '[:,"]+' '{ for (i = 1; i < NF; i++) {
			if ($i == "op") op = $(i + 2)
			if ($i == "median") print op, $(i + 1) + 0 } }' "$dir/json")
	done
}

# ---- all of them, in turn ----------------------------------------------------------------------------

# The barrier of two is an exchange: both send, then both wait. ib_write_lat's time is of one way.
one_round() {
	local over
	perf ib_write_lat 8 $((iters * 3)) 5
	on_wire ping ping 8 $((iters * 3))
	collectives 8 "$iters" barrier allreduce bcast reduce
	perf ib_write_bw 1048576 80 4
	ART_RDMA_LARGE=write on_wire write lent 65536 1280
	perf ib_read_bw 1048576 80 4
	ART_RDMA_LARGE=read on_wire read lent 65536 1280
	ART_RDMA_LARGE=copy on_wire copy lent 65536 1280
	for over in rdma,tcp tcp; do
		art $over 2 bcast --back-to-back --sizes 1M:1M --iters 20 >"$dir/json"
		note stream.${over%,*} "$(field bytes_per_s <"$dir/json" | awk '{ print $1 / 1048576 }')"
	done
	collectives 65536 20 bcast reduce allreduce
	collectives 1048576 6 bcast reduce allreduce
}

median() { sort -n "$dir/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
row() { # WHAT FILE FILE UNIT
	awk -v what="$1" -v a="$(median "$2")" -v b="$(median "$3")" -v unit="$4" 'BEGIN {
		printf "| %s | %.2f | %.2f | %s | **%.2f** |\n", what, a, b, unit, a / b }'
}

time_is_over() { [ "$SECONDS" -ge "$1" ]; } # so many seconds are

for ((round = 0; round < rounds; round++)); do
	[ $round = 0 ] || ! time_is_over "$seconds" || break
	one_round
done
for ((k = 0; k < kills; k++)); do
	[ $k = 0 ] || ! time_is_over $((2 * seconds)) || break
	for over in rdma,tcp tcp; do
		ART_LAB_CAPS=keep art $over 4 recover --seed $((k + 1)) >"$dir/json"
		note "recover.${over%,*}" "$(field ms <"$dir/json")"
		note "detection.${over%,*}" "$(field detection <"$dir/json")"
	done
done

echo "rxe (Soft-RoCE) of Linux $(uname -r), MTU $(cat /sys/class/net/eth0/mtu), $(nproc) processors;" \
	"medians of $round rounds"
echo "| On the same two devices | ART | perftest | | ART / perftest |"
echo "|---|---|---|---|---|"
row "a message of 8 bytes one way, beside ib_write_lat" wire.ping ib_write_lat us
row "messages of 64 KiB, written out of user memory and copied there, beside ib_write_bw" wire.write ib_write_bw MiB/s
row "messages of 64 KiB, copied at both ends, beside ib_write_bw" wire.copy ib_write_bw MiB/s
row "messages of 64 KiB, read out of user memory to user memory, beside ib_read_bw" wire.read ib_read_bw MiB/s
row "barrier of two, beside ib_write_lat one way" barrier.8.rdma ib_write_lat us
row "allreduce of 8 bytes, beside ib_write_lat one way" allreduce.8.rdma ib_write_lat us
row "bcast of 1 MiB, back to back, beside ib_write_bw" stream.rdma ib_write_bw MiB/s
row "bcast of 1 MiB, back to back, beside ib_read_bw" stream.rdma ib_read_bw MiB/s
echo
echo "| On the same links | rdma | TCP | | rdma / TCP |"
echo "|---|---|---|---|---|"
row "barrier" barrier.8.rdma barrier.8.tcp us
for name in bcast reduce allreduce; do
	for bytes in 8 65536 1048576; do
		row "$name, $bytes bytes" $name.$bytes.rdma $name.$bytes.tcp us
	done
done
row "bcast of 1 MiB, back to back" stream.rdma stream.tcp MiB/s
row "SIGKILL of one of four to the next result, $k jobs" recover.rdma recover.tcp ms
row "of that until its death is known, when the device has let go of what it had" detection.rdma detection.tcp ms
