/* SPDX-License-Identifier: MIT
 *
 * The quorum rule, alone, because everything rests on it.
 */
#include "ft/ft.h"

/* Exact halves (rule R7): the half that has the lowest member of @v, if the job was told to. Two such
 * halves share that member, and every majority meets every half. Who counts on certificates for all
 * others has to ask every member of this half that is not certified dead, as with a majority. No two ranks
 * need the same setting: each of these rules meets the other two. (@either is a mutant.) */
static bool lowest_half(const struct art_set *q, const struct art_set *v, bool either)
{
	struct art_set live;

	art__set_copy(&live, q);
	art__set_and(&live, v);
	return 2 * art__set_count(&live) == art__set_count(v) &&
	       (either || art__set_has(q, art__set_next(v, 0)));
}

bool art__ft_enough(const struct art_ft *ft, const struct art_set *q, const struct art_set *d)
{
	return art__ft_quorum(q, &ft->view.members, d, ft->mutant) ||
	       (ft->lowest_half && lowest_half(q, &ft->view.members, ART_FT_MUTANT(ft, 17)));
}

bool art__ft_quorum(const struct art_set *q, const struct art_set *v, const struct art_set *d,
		    uint64_t mutant)
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
