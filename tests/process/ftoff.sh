#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: ART_FT=off. Whatever needs no fault tolerance works as before; the death of a rank
# ends the job, with a sentence that says so and a status that is not 0.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
export ART_FT=off

for program in args handles nonblocking refused threads types userop words; do
	run "$artrun" -n 4 "$programs/t_$program"
	[ $rc = 0 ] || complain "ART_FT=off artrun -n 4 t_$program: exit status $rc"
done

# Many more operations than there is time for; the victim dies at the latest at their end.
for victim in 2 0; do
	run "$artrun" -n 4 "$programs/t_killed" --seed $victim --ops 200000 --kill $victim:run:5000
	case $rc in
	0) complain "rank $victim died and the job ended with 0" ;;
	124 | 137) complain "rank $victim died: exit status $rc" ;;
	esac
	grep -q "rank $victim was lost and ART_FT is off: the job ends" err ||
		complain "rank $victim died: no line says so"
	! grep -q ' survived' out || complain "rank $victim died and somebody went on to the end"
done

ART_FT=perhaps run "$programs/t_args"
[ $rc != 0 ] && grep -q 'ART_FT=perhaps is not one of: on, off' err ||
	complain "ART_FT=perhaps is not refused"
verdict
