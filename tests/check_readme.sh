#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the program shown in README.md is examples/hello.c, which is compiled and run.
set -u

src=${ART_SRCDIR:-.}
shown=$(sed -n '/^```c$/,/^```$/p' "$src/README.md" | sed '1d;$d')
if [ -z "$shown" ] || [ "$shown" != "$(cat "$src/examples/hello.c")" ]; then
	echo "FAIL check_readme: README.md shows another program than examples/hello.c" >&2
	diff <(echo "$shown") "$src/examples/hello.c" >&2
	exit 1
fi
