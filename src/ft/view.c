/* SPDX-License-Identifier: MIT
 *
 * The quorum rule, alone, because everything rests on it.
 */
#include "ft/ft.h"

bool art__ft_quorum(const struct art_set *q, const struct art_set *v, const struct art_set *d,
		    uint32_t mutant)
{
	struct art_set live;
	uint32_t yes, all = art__set_count(v);

	art__set_copy(&live, q);
	art__set_and(&live, v);
	yes = art__set_count(&live);
	(void)mutant;
#ifdef ART_TEST_MUTANTS
	if (mutant >> 6 & 1)
		return true;
	if (mutant >> 9 & 1) {
		art__set_or(&live, d);
		art__set_and(&live, v);
		return 2 * art__set_count(&live) > all;
	}
	if (mutant >> 10 & 1) {
		struct art_set den;
		art__set_copy(&den, v);
		art__set_minus(&den, d);
		return 2 * yes > art__set_count(&den);
	}
#endif
	if (2 * yes > all)
		return true;
	/* every member of v that is not certified dead */
	struct art_set need;
	art__set_copy(&need, v);
	art__set_minus(&need, d);
	return !art__set_empty(&need) && art__set_subset(&need, q);
}
