#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: a certificate of a death carries the view in which the dead acted last: a rank dies
# before the view has changed, one after it; what the survivors' kernel says of them is in their log.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"

all_up() { [ "$(grep -c ' is process ' out)" = 4 ]; }
said() { [ "$(grep -Ec "$1" err)" = "$2" ]; } # PATTERN TIMES
until_said() { await said "$@" || complain "'$1' does not come $2 times"; }

mkfifo gate
exec {gate}<>gate
begin env ART_LOG=info "$artrun" -n 4 "$programs/t_gate" lossy gate
await all_up || complain "the job has not started"
kill -KILL "$(pid_of 2)"
until_said 'view 1: 3 members, left: 2 ' 3
kill -KILL "$(pid_of 1)"
until_said 'rank 1, which is dead, acted last in epoch 1$' 2
until_said 'view 2: 2 members, left: 1 ' 2
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "exit status $rc"
said 'rank 2, which is dead, acted' 0 || complain "rank 2 had noted no view"
verdict
