#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the rules of the house that a machine can check: who may include whom, who may
# call what, no mutable globals below the API, no file too long, none forgotten.
set -u
src=${ART_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${ART_BUILDDIR:-}
cd "$src" || exit 1
failures=0

complain() {
	echo "$*"
	failures=$((failures + 1))
}

# ---- who may include whom --------------------------------------------------------------------

# Project headers a file of this folder may include, as an extended regular expression.
may_include() {
	case $1 in
	src/base/status.c) echo '^(base/|art/(status|art)\.h)' ;;
	src/base/*) echo '^(base/|art/status\.h)' ;;
	src/wire/*) echo '^(base/|wire/|art/status\.h)' ;;
	src/topo/*) echo '^(base/|topo/|art/status\.h)' ;;
	src/transport/*.[ch]) transport_may_include "$1" ;;
	src/engine/*) echo '^(base/|wire/|transport/transport\.h|engine/|art/status\.h)' ;;
	src/ft/*) echo '^(base/|wire/|engine/machine\.h|engine/report\.h|ft/|art/status\.h)' ;;
	src/coll/*) echo '^(base/|art/art\.h|core/core\.h|topo/topo\.h|ft/ft\.h|engine/machine\.h|engine/report\.h|coll/|art/status\.h)' ;;
	src/core/*) echo '^(base/|wire/|topo/|coll/|ft/|engine/machine\.h|engine/report\.h|core/|art/status\.h)' ;;
	src/launch/artrun_trace.c) echo '^(base/|launch/|art/art\.h)' ;; # texts of status codes
	src/launch/artrun_vote.c) echo '^(base/|launch/|ft/arbiter\.h)' ;; # artrun is an acceptor
	src/launch/*) echo '^(base/|topo/topo\.h|transport/transport\.h|launch/|art/status\.h)' ;;
	src/api/*) echo '^(base/|topo/(topo|spare|quota)\.h|coll/|ft/|core/|engine/|launch/boot\.h|api/|art/)' ;;
	examples/*) echo '^art/' ;;
	benchmarks/*) echo '^(art/|bench\.h|benchmarks/|base/)' ;;
	# Tools show what others do: the table of settings, the names of status sockets, the host.
	tools/*) echo '^(art/|base/|topo/|api/config\.h|engine/status\.h|tools/)' ;;
	tests/*) echo '.' ;;
	*) echo '^$' ;;
	esac
}

# A transport sees the contract, the words of all handshakes, and its own folder; the registry sees
# their names.
transport_may_include() {
	local folder=${1#src/transport/}
	case $folder in
	registry.c) echo '^(transport/|art/status\.h)' ;;
	*/*) echo "^(base/|transport/(transport|words)\\.h|transport/${folder%%/*}/|art/status\\.h)" ;;
	*) echo '^(base/|transport/(transport|words)\.h|art/status\.h)' ;;
	esac
}

# Headers of the system that pure code has no use for.
system_forbidden() {
	case $1 in
	src/topo/locality*.c | src/topo/quota.c) ;;
	src/topo/* | src/coll/* | src/ft/* | src/core/* | src/wire/* | src/engine/machine.h)
		echo '^(sys/(socket|time|uio|epoll|wait)|time|unistd|poll|pthread|netinet/|signal|malloc\.h)'
		;;
	esac
}

# Lines "FILE:LINE" of what is included, one read of the whole tree.
check_includes() {
	local file header last= allowed= forbidden=
	while IFS=: read -r file header; do
		if [ "$file" != "$last" ]; then
			last=$file
			allowed=$(may_include "$file")
			forbidden=$(system_forbidden "$file")
		fi
		header=${header#\#include }
		case $header in
		\"*\"* | "<art/"*)
			header=${header:1} header=${header%%[\">]*}
			[ "${file%%/*}" = include ] || [[ $header =~ $allowed ]] ||
				complain "$file: may not include \"$header\""
			;;
		"<"*)
			header=${header:1} header=${header%%>*}
			[ -z "$forbidden" ] || [[ ! $header =~ $forbidden ]] ||
				complain "$file: pure code includes <$header>"
			;;
		esac
	done < <(find src include benchmarks examples tools -name '*.[ch]' -exec grep -H '^#include' {} +)
}

# A library's header stays in one place.
check_library_headers() {
	local rule header place file
	for rule in infiniband/verbs.h:src/transport/rdma/ jansson.h:tools/ hwloc.h:src/topo/locality.c xxhash.h:src/wire/wire.c sodium.h:src/transport/; do
		header=${rule%%:*} place=${rule#*:}
		for file in $(grep -rl "^#include <$header>" src tools); do
			case $file in
			"$place"* | src/launch/*) ;;
			src/engine/beat.c) ;; # datagrams are authenticated one by one,
			src/engine/arena.c) ;; # and so is memory to share
			*) complain "$file: <$header> belongs in $place" ;;
			esac
		done
	done
}

# ---- who may call what -----------------------------------------------------------------------

check_sleeps() {
	local hit
	while read -r hit; do
		complain "$hit: tests wait on conditions"
	done < <(grep -rnE '\b(sleep|usleep|nanosleep|clock_nanosleep)[[:space:]]*\(' tests \
		--include='*.[ch]')
}

# What the compiler left to be called, by folder of the source; needs a build.
objects() {
	find "$build/src" -path '*/.libs/*.o' ! -name 'libart_mutant_la-*' ! -name 'artrun-*'
}

pure_calls='malloc|calloc|realloc|free|.*printf.*|puts|putchar|write|read|open|close|socket|connect'
pure_calls+='|send|sendto|sendmsg|recv|recvfrom|recvmsg|poll|epoll_.*|sleep|nanosleep|pthread_.*'
pure_calls+='|getenv|rand|random|getrandom|exit'
clock_calls='time|gettimeofday|clock_gettime|clock_nanosleep|nanosleep|usleep|sleep'

# What an object of this folder may not call, as an extended regular expression.
calls_forbidden() {
	case $1 in
	src/topo/.libs/locality* | src/topo/.libs/quota*) ;;
	src/coll/* | src/ft/* | src/core/* | src/topo/* | src/wire/*)
		echo "^($pure_calls|$clock_calls)$" ;;
	src/base/.libs/env_posix.o | src/launch/*) ;;
	*) echo "^($clock_calls)$" ;;
	esac
}

check_calls() {
	local path call last= bad=
	while read -r path call; do
		[ "$path" = "$last" ] || bad=$(calls_forbidden "$path")
		last=$path
		[ -n "$bad" ] && [[ $call =~ $bad ]] || continue
		[[ $call =~ ^(__)?v?snprintf(_chk)?$ ]] || complain "$path: calls $call()"
	done < <(nm -A -u $(objects) | sed -E "s,^$build/,,; s,: +[Uw] , ,; s,@.*,,")
}

# Mutable variables at file scope, by the section they are in (constant tables with pointers are
# in .data.rel.ro).
check_globals() {
	local path symbol
	while read -r path symbol; do
		case $path in
		src/api/* | src/launch/*) ;;
		*) complain "$path: mutable variable $symbol" ;;
		esac
	done < <(nm -A -f sysv $(objects) | sed "s,^$build/,,; s,:, ," | awk -F'|' '
		{ gsub(/ /, "", $7) }
		$7 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/ \
			&& $4 ~ /OBJECT|TLS/ { print $1 }')
}

# ---- files -----------------------------------------------------------------------------------

# In an unpacked tarball there is no git: then all that is not generated.
tracked_files() {
	if ! { [ -e .git ] && git ls-files -co --exclude-standard 2>/dev/null; }; then
		find . \( -path ./build -o -path ./build-aux -o -path ./autom4te.cache \) -prune -o \
			-type f ! -name Makefile.in ! -name aclocal.m4 -print | sed 's,^\./,,'
	fi
}

check_lengths() {
	local file lines
	while read -r lines file; do
		[ "$file" = total ] || [ "$lines" -le 900 ] ||
			complain "$file: $lines lines, split it by event or by role"
	done < <(tracked_files | grep -E '\.(c|h|sh)$' | xargs wc -l)
}

check_headings() {
	local file
	while read -r file; do
		complain "$file: no SPDX line"
	done < <(tracked_files | grep -E '\.(c|h|sh|ac|am)$' | xargs awk '
		FNR == 1 && NR > 1 && !found { print last }
		FNR == 1 { last = FILENAME; found = 0 }
		FNR <= 3 && /SPDX-License-Identifier: MIT/ { found = 1 }
		END { if (!found) print last }')
}

# Every source is built by some list of Makefile.am.
check_forgotten() {
	local file
	local -A listed
	for file in $(tr '=' ' ' <Makefile.am); do
		listed[$file]=1
	done
	while read -r file; do
		[ -n "${listed[$file]-}${listed[${file%.c}]-}" ] || complain "$file: not in Makefile.am"
	done < <(tracked_files | grep -E '^((src|benchmarks|examples|tests|tools)/.*\.c|(src|benchmarks|tests|tools|include)/.*\.h|tests/.*\.sh)$')
}

# Nothing of the machine it was written on. (The patterns do not match themselves.)
check_paths() {
	local hit
	while read -r hit; do
		complain "$hit: names a place outside the project"
	done < <(tracked_files | xargs -r grep -nIE '\.\./share[d]|/wor[k]/' 2>/dev/null | cut -c1-100)
}

check_includes
check_library_headers
check_sleeps
check_lengths
check_headings
check_forgotten
check_paths
if [ -n "$build" ] && [ -n "$(objects | head -n 1)" ]; then
	check_calls
	check_globals
else
	echo "no build given (ART_BUILDDIR): calls and globals are not checked"
fi
[ $failures = 0 ] || echo "$failures rule(s) broken"
[ $failures = 0 ]
