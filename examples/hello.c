/* SPDX-License-Identifier: MIT
 *
 * The smallest ART program: the ranks add up their numbers, again and again. Give it more rounds
 * and kill a rank meanwhile: the others go on.   artrun -n 8 ./hello 1000000
 */
#include <art/art.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1000;
	int rank = 0, count, before = 0, err = art_init(&argc, &argv);

	if (err != ART_SUCCESS)
		return 1; /* ART has said why */
	art_comm_rank(ART_COMM_WORLD, &rank);
	printf("rank %d is process %d\n", rank, (int)getpid());
	for (long i = 0; i < rounds && err == ART_SUCCESS; i++) {
		int64_t mine = rank, sum;
		art_status_t status;

		err = art_allreduce(&mine, &sum, 1, ART_INT64, ART_SUM, ART_COMM_WORLD);
		if (err != ART_SUCCESS || art_last_status(ART_COMM_WORLD, &status) != ART_SUCCESS)
			break;
		art_status_contributors(&status, &count);
		if (count != before)
			printf("rank %d, round %ld: the sum of %d ranks is %lld\n", rank, i, count,
			       (long long)sum);
		before = count;
		fflush(stdout);
	}
	return art_finalize() != ART_SUCCESS || err != ART_SUCCESS;
}
