/* SPDX-License-Identifier: MIT
 *
 * Text for status codes, from the list that defines them.
 */
#include <art/art.h>

const char *art_strerror(int code)
{
	switch (code) {
#define ART_STATUS_TEXT(name, value, text) \
	case name: \
		return text;
	ART_STATUS_LIST(ART_STATUS_TEXT)
#undef ART_STATUS_TEXT
	}
	return "unknown status code";
}
