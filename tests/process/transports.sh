#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: which way data goes: through shared memory between ranks of one host, unless
# ART_TRANSPORT=tcp forbids it or the system does; then over TCP, and one line says so. Nothing has a
# name in /dev/shm, and nothing is left when ranks are killed.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../lib/jobs.sh"
info=$build/art-info
shim=$build/tests/lib/.libs/failnth.so

mkfifo gate
exec {gate}<>gate

named() { find /dev/shm -maxdepth 1 -iname '*art*' 2>/dev/null | sort; }
started() { [ "$(grep -c 'is process' out)" = 3 ]; }
told() { # PATTERN
	"$info" --job "$(pid_of 0)" --details --wait 60 >told 2>&1
	grep -qE "$1" told
}
# Of what data could go through: art-views holds what a rank wants known after its death.
mapped() { grep 'memfd:art' "/proc/$(pid_of "$1")/maps" | grep -vc 'memfd:art-views'; }
before=$(named)

# ---- while a job runs: what is mapped, what art-info says ----
look() { # TRANSPORTS PATTERN [ARENA]
	local count
	begin env ART_TRANSPORT="$1" ART_ARENA="${3-on}" "$artrun" -n 3 "$programs/t_gate" busy gate
	await started || complain "$1: the job did not start"
	await told "$2" || { complain "$1: art-info never tells: $2"; sed 's/^/    info: /' told; }
	count=$(mapped 0)
	if [ "$1" = tcp ]; then
		[ "$count" = 0 ] || complain "tcp: $count mappings of shared memory"
	else
		[ "$count" -gt 0 ] || complain "$1: no memory is shared"
	fi
	[ "$(named)" = "$before" ] || complain "$1: names in /dev/shm: $(named)"
	printf . >&"$gate"
	finish
	[ $rc = 0 ] || complain "$1: exit status $rc"
}
look tcp '; tcp: [0-9]+ connections'
look shm ' [1-9][0-9]* shared; shm: 0 connections'
look shm '^    data connections made: [1-9][0-9]* shm$' off
look shm,tcp '^    data connections made: [1-9][0-9]* shm$' off

# ---- operations of communicators go through memory that their ranks share, too ----
begin "$artrun" -n 4 "$programs/t_gate" pairs gate
await grep -q '2000 done' out || complain "pairs: the job does not get on"
told 'messages' || complain "pairs: art-info tells nothing"
printf . >&"$gate"
finish
[ $rc = 0 ] || complain "pairs: exit status $rc"
sent=$(sed -nE 's/^  rank .*connections, ([0-9]+) messages.*/\1/p' told | sort -n | tail -1)
rounds=$(sed -nE 's/^([0-9]+) rounds$/\1/p' out)
[ "${rounds:-0}" -gt "$((20 * ${sent:-1000000}))" ] || complain "pairs: $sent messages in $rounds rounds"

# ---- the same programs over each ----
for transport in tcp shm tcp,shm; do
	for program in comms nonblocking userop; do
		run env ART_TRANSPORT=$transport "$artrun" -n 4 "$programs/t_$program"
		[ $rc = 0 ] || complain "$transport: t_$program: exit status $rc"
	done
done
run env ART_TRANSPORT=shm,fax "$artrun" -n 2 "$programs/t_comms"
grep -q 'ART_TRANSPORT=shm,fax is not a list of: shm, tcp' err || complain "a wrong list is accepted"

# ---- ranks that may use different ones ----
cat >mixed.sh <<END
[ "\$ART_RANK" != 1 ] || export ART_TRANSPORT=tcp
exec "$programs/t_comms"
END
run "$artrun" -n 3 bash mixed.sh
[ $rc = 0 ] || complain "one rank of three uses tcp only: exit status $rc"

# ---- the system gives no memory to share: from the start, or when a pair needs it ----
case ${ART_BUILD:-normal} in
asan | tsan) ;; # have an allocator of their own, in which the module has no place
*)
	for n in 1 2 3; do
		run env ART_LOG=info FAILNTH=rank1:memfd:$n:from LD_PRELOAD="$shim" \
			"$artrun" -n 3 "$programs/t_comms"
		[ $rc = 0 ] || complain "no memfd from the ${n}. on: exit status $rc"
		case $n in
		1) want='\[rank 1\] info: no shared memory: Operation not permitted' ;;
		2) want='\[rank 1\] info: no arena in shared memory: Operation not permitted' ;;
		3) want='rank [02] cannot be reached over shm: over tcp instead' ;;
		esac
		grep -qE "$want" err || complain "no memfd from the ${n}. on: no line about it"
		early=$(early_views .) # also one that nobody left
		[ -z "$early" ] || complain "no memfd from the ${n}. on: a view change: $early"
	done
	run env FAILNTH=rank1:memfd:1:from LD_PRELOAD="$shim" ART_TRANSPORT=shm \
		"$artrun" -n 3 "$programs/t_comms"
	grep -q 'art_init.* is -15 (transport failure)' err || complain "shm alone, and it is not there: no error"
	;;
esac
[ "$(named)" = "$before" ] || complain "names in /dev/shm: $(named)"
verdict
