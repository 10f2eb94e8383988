#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the shared library exports the names of the public header, all of them and
# nothing else.
set -u
src=${ART_SRCDIR:?} build=${ART_BUILDDIR:?}
lib=$build/.libs/libart.so.0

declared=$(sed -n 's/^ART_API .*\(art_[a-z0-9_]*\)(.*/\1/p' "$src"/include/art/*.h | sort)
exported=$(nm -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' | sort)
[ -n "$declared" ] && [ -n "$exported" ] || { echo "no symbols found in $lib"; exit 1; }

strange=$(printf '%s\n' "$exported" | grep -v '^art_[a-z]')
[ -z "$strange" ] || { echo "exported, but no public name:" $strange; exit 1; }
if [ "$declared" != "$exported" ]; then
	echo "declared (<) and exported (>) names differ:"
	diff <(echo "$declared") <(echo "$exported")
	exit 1
fi
readelf -d "$lib" | grep -q 'SONAME.*\[libart\.so\.0\]' || { echo "wrong SONAME"; exit 1; }
echo "$(echo "$exported" | wc -l) names exported"
