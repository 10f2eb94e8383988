/* SPDX-License-Identifier: MIT
 *
 * conformance_double RIG MODE [CASE]: the suite on the rdma transport (a rig whose name has "rdma"
 * in it), with the double of libibverbs in place of a device. Modes: prompt (a write is there when it
 * is posted), late, backwards (its last bytes first, told later), infiniband, outline (the device
 * inlines nothing), breaks (every 41st write fails, and with it the way that it was on), hardly (there
 * is memory to register for the first two ways only), shared (all pairs of a rank share receives), shared-breaks. Exit 0: passed; 1: failed; 2: wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/conformance.h"
#include "tests/lib/verbs_double.h"

static bool set_mode(const char *mode)
{
	verbs_double_reset();
	if (strncmp(mode, "shared", 6) == 0)
		setenv("ART_RDMA_SRQ", "on", 1);
	if (strcmp(mode, "late") == 0)
		verbs_double.late = true;
	else if (strcmp(mode, "backwards") == 0)
		verbs_double.late = verbs_double.backwards = true;
	else if (strcmp(mode, "infiniband") == 0)
		verbs_double.infiniband = true;
	else if (strcmp(mode, "outline") == 0)
		verbs_double.max_inline = 0;
	else if (strcmp(mode, "breaks") == 0 || strcmp(mode, "shared-breaks") == 0)
		verbs_double.fail_every = 41;
	else if (strcmp(mode, "hardly") == 0)
		verbs_double.refuse_mr = 3;
	else
		return strcmp(mode, "prompt") == 0 || strcmp(mode, "shared") == 0;
	return true;
}

/* Without this the suite would pass over tcp alone. */
static bool used(void)
{
	bool yes = verbs_double.wrs > 500 && verbs_double.not_ready == 0 &&
		   (verbs_double.srq_recvs > 500) == (getenv("ART_RDMA_SRQ") != NULL);

	if (!yes)
		fprintf(stderr, "%lu writes, %lu of them met no receive\n", verbs_double.wrs,
			verbs_double.not_ready);
	return yes;
}

int main(int argc, char **argv)
{
	const struct conf_rig *rig = argc > 2 ? conf_rig_find(argv[1]) : NULL;
	int rc;

	if (!rig || !strstr(rig->name, "rdma") || !set_mode(argv[2])) {
		fprintf(stderr, "usage: %s [fault+]rdma|rdma-plain|rdma-alone|multi-rdma "
			"prompt|late|backwards|infiniband|outline|breaks|hardly|shared|shared-breaks [case]\n", argv[0]);
		return 2;
	}
	rc = conf_run(rig, argc > 3 ? argv[3] : NULL);
	if (rc == 0 && argc == 3 && strcmp(argv[2], "hardly") != 0 && !used())
		rc = 1;
	return rc;
}
