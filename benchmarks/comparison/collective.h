/* SPDX-License-Identifier: MIT
 *
 * The few calls that collective.c makes, in words of ART or, with -DWITH_MPI, of MPI. Nothing else
 * differs between the programs that benchmarks/compare compares. All return 0 when they succeed.
 */
#ifndef COLLECTIVE_H
#define COLLECTIVE_H

#ifdef WITH_MPI
#include <mpi.h>
#define lib_init(argc, argv) MPI_Init(argc, argv)
#define lib_finalize() MPI_Finalize()
#define lib_abort() MPI_Abort(MPI_COMM_WORLD, 1)
#define lib_rank(rank) MPI_Comm_rank(MPI_COMM_WORLD, rank)
#define lib_size(size) MPI_Comm_size(MPI_COMM_WORLD, size)
#define lib_barrier() MPI_Barrier(MPI_COMM_WORLD)
#define lib_bcast(buf, n) MPI_Bcast(buf, (int)(n), MPI_DOUBLE, 0, MPI_COMM_WORLD)
#define lib_reduce(in, out, n) MPI_Reduce(in, out, (int)(n), MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD)
#define lib_allreduce(in, out, n) MPI_Allreduce(in, out, (int)(n), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD)
#define lib_slowest(t, n) MPI_Allreduce(MPI_IN_PLACE, t, (int)(n), MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD)
#else
#include <art/art.h>
#define lib_init(argc, argv) art_init(argc, argv)
#define lib_finalize() art_finalize()
#define lib_abort() art_abort(ART_COMM_WORLD, 1)
#define lib_rank(rank) art_comm_rank(ART_COMM_WORLD, rank)
#define lib_size(size) art_comm_size(ART_COMM_WORLD, size)
#define lib_barrier() art_barrier(ART_COMM_WORLD)
#define lib_bcast(buf, n) art_bcast(buf, n, ART_DOUBLE, 0, ART_COMM_WORLD)
#define lib_reduce(in, out, n) art_reduce(in, out, n, ART_DOUBLE, ART_SUM, 0, ART_COMM_WORLD)
#define lib_allreduce(in, out, n) art_allreduce(in, out, n, ART_DOUBLE, ART_SUM, ART_COMM_WORLD)
#define lib_slowest(t, n) art_allreduce(ART_IN_PLACE, t, n, ART_DOUBLE, ART_MAX, ART_COMM_WORLD)
#endif

#endif
