#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: a rank that waits costs next to nothing. art-bench measures how little; here the bound
# is one that no machine's speed or load gets near: a fifth of a core.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

run "$artrun" -n 8 "$build/art-bench" idle --seconds 2 --json
most=$(sed -n 's/.*"blocked_max": \([0-9.]*\).*/\1/p' out)
[ $rc = 0 ] && [ -n "$most" ] || complain "art-bench idle: exit status $rc"
awk -v most="${most:-100}" 'BEGIN { exit !(most < 20) }' ||
	complain "a rank blocked in a barrier uses $most % of a core"
echo "a rank blocked in a barrier uses at most $most % of a core"
verdict
