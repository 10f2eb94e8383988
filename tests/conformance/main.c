/* SPDX-License-Identifier: MIT
 *
 * conformance TRANSPORT [CASE]: runs all cases, or one, on tcp, sim, fault+tcp, fault+sim
 * or tcp-badsys (tcp whose system calls do less than asked or fail for a moment).
 * Exit 0: passed; 1: failed (one line says where); 2: wrong usage. CONF_SEED seeds the simulator
 * and the failing calls, CONF_LOG shows what transports log.
 */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const struct conf_rig *rig = argc > 1 ? conf_rig_find(argv[1]) : NULL;
	int ran = 0;

	if (!rig) {
		fprintf(stderr, "usage: %s tcp|sim|fault+tcp|fault+sim|tcp-badsys [case]\n", argv[0]);
		return 2;
	}
	for (const struct conf_case *k = conf_cases; k->name; k++) {
		struct conf c = { .rig = rig, .name = k->name };
		if (argc > 2 && strcmp(argv[2], k->name) != 0)
			continue;
		k->run(&c);
		printf("%s: %s: ok\n", rig->name, k->name);
		fflush(stdout);
		ran++;
	}
	if (!ran) {
		fprintf(stderr, "no case \"%s\"\n", argv[2]);
		return 2;
	}
	return 0;
}
