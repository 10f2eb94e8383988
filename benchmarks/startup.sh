#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Figures for the start of a job: the time of an otherwise empty program (init, barrier, finalize)
# from the command line and back, under artrun and, where they are installed, under mpirun of Open
# MPI and mpiexec of MPICH, in turn, so that all see the same load. Median of K runs (default 9).
#
#   benchmarks/startup.sh [K [RANKS...]]      ARTRUN names artrun; ART_CFLAGS and ART_LIBS how to
#                                             build a program, if pkg-config does not know
set -eu

runs=${1:-9}
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- 2 8 32 64
artrun=$(command -v "${ARTRUN:-artrun}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

cat >"$dir/art.c" <<'END'
#include <art/art.h>
int main(int argc, char **argv)
{
	return art_init(&argc, &argv) || art_barrier(ART_COMM_WORLD) || art_finalize();
}
END
cat >"$dir/mpi.c" <<'END'
#include <mpi.h>
int main(int argc, char **argv)
{
	return MPI_Init(&argc, &argv) || MPI_Barrier(MPI_COMM_WORLD) || MPI_Finalize();
}
END
cc -O2 ${ART_CFLAGS-$(pkg-config --cflags art)} -o "$dir/art" "$dir/art.c" ${ART_LIBS-$(pkg-config --libs art)}
kinds=art
for mpi in openmpi mpich; do
	! command -v mpicc.$mpi >/dev/null || { mpicc.$mpi -O2 -o "$dir/$mpi" "$dir/mpi.c" && kinds="$kinds $mpi"; }
done

start() { # KIND N
	case $1 in
	art) "$artrun" -n "$2" "$dir/art" ;;
	openmpi) OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
		mpirun.openmpi --oversubscribe -n "$2" "$dir/openmpi" ;;
	mpich) mpiexec.hydra -n "$2" "$dir/mpich" ;;
	esac >"$dir/log" 2>&1 </dev/null || { cat "$dir/log" >&2; echo "startup.sh: $1 failed" >&2; exit 1; }
}

for n in "$@"; do
	rm -f "$dir"/*.ms
	for ((i = 0; i < runs; i++)); do
		for kind in $kinds; do
			began=${EPOCHREALTIME/./}
			start "$kind" "$n"
			echo $((${EPOCHREALTIME/./} - began)) >>"$dir/$kind.ms"
		done
	done
	printf '%d ranks:' "$n"
	for kind in $kinds; do
		sort -n "$dir/$kind.ms" | awk -v kind="$kind" '{ us[NR] = $1 }
			END { printf " %s %.1f ms", kind, us[int(NR / 2) + 1] / 1000 }'
	done
	echo
done
