/* SPDX-License-Identifier: MIT
 *
 * Text for the marks of marks.h, from the same list.
 */
#include "base/marks.h"

static const char *const mark_name[] = {
#define ART_MARK_NAME(name) #name,
	ART_MARK_LIST(ART_MARK_NAME)
#undef ART_MARK_NAME
};

const char *art__mark_name(enum art_mark m)
{
	return (unsigned)m < ART_M_COUNT ? mark_name[m] : "?";
}
