#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: doc/guide.md and the sources agree: each quoted message is one that ART prints, what
# looks like a name of ART's exists, links lead somewhere, and the first program compiles and runs.
set -u
export LC_ALL=C

src=$(realpath "${ART_SRCDIR:-.}")
build=$(realpath "${ART_BUILDDIR:-.}")
guide=$src/doc/guide.md
failures=0

complain() {
	echo "FAIL check_guide: $*"
	failures=$((failures + 1))
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

block() { # KIND: the lines of the guide's blocks of that kind
	awk -v kind="$1" '/^```/ { on = $0 == "```" kind; next } on' "$guide"
}

# A message is checked in parts, since ART puts some together.
parts() {
	sed -e 's/: /\n/g' -e 's/; /\n/g' -e 's/ (/\n/g' -e 's/) /\n/g' | sed 's/)$//'
}

letters() { # MINIMUM: lines with so many letters, outside of %
	awk -v least="$1" '
		{
			text = $0
			gsub(/%[-#0-9.*]*l*[a-z]/, "", text)
			gsub(/[^a-zA-Z]/, "", text)
		}
		length(text) >= least' | sort -u
}

# The parts of every string of the sources as they are printed, a pattern for each % in them.
# Strings that the compiler joins are joined.
patterns() {
	cat "$src"/src/*/*.[ch] "$src"/src/transport/*/*.c "$src"/include/art/*.h | tr '\n\t' '  ' |
		sed 's/" *"//g' | grep -oE '"([^"\\]|\\.)*"' |
		sed -e 's/^"//' -e 's/"$//' -e 's/\\n//g' -e 's/\\"/"/g' | parts | letters 5 |
		sed -E -e 's/[][\.*+?(){}^$|]/\\&/g' -e 's/%[-#0-9]*l*[dux]/-?[0-9a-fx]+/g' \
			-e 's/%(\\\.)?(\\\*|[0-9])*[smfg]/.*/g'
}

check_messages() {
	local line
	patterns >"$tmp/patterns"
	printf '%s\n' 'Too many open files' 'Permission denied' 'Connection refused' >>"$tmp/patterns" # the C library's
	block message >"$tmp/messages"
	[ "$(wc -l <"$tmp/messages")" -gt 10 ] || complain "found no messages in doc/guide.md"
	! grep -vE '^(art|artrun): ' "$tmp/messages" || complain "messages begin with the program's name"
	while read -r line; do
		complain "ART does not print '$line'"
	done < <(sed -E 's/^art: \[rank [0-9]+\] (error|warn|info|debug): //' "$tmp/messages" |
		parts | letters 8 | grep -vxE -f "$tmp/patterns")
	! grep -qxE -f "$tmp/patterns" <<<"the root was lost, what a pity" ||
		complain "the patterns fit what ART does not print"
}

check_names() {
	{
		cat "$src"/include/art/*.h | grep -oE '\b(ART_[A-Z0-9_]+|art_[a-z0-9_]+)\b'
		cat "$src"/src/*/*.[ch] | grep -oE '"ART_[A-Z_]+"' | tr -d '"'
	} | sort -u >"$tmp/names"
	sed 's/](#[^)]*)//g' "$guide" |
		grep -oE '\b(ART_[A-Z0-9_]*[A-Z0-9]|art_[a-z0-9_]*[a-z0-9])\b' | sort -u |
		comm -23 - "$tmp/names" >"$tmp/unknown"
	[ ! -s "$tmp/unknown" ] || complain "doc/guide.md names what does not exist:" $(cat "$tmp/unknown")
}

check_links() {
	local target
	sed -n 's/^##* //p' "$guide" | tr 'A-Z' 'a-z' | sed -e 's/[^a-z0-9_ -]//g' -e 's/ /-/g' \
		>"$tmp/anchors"
	for target in $(grep -oE '\]\(#[^)]*\)' "$guide" | sed 's/^](#//; s/)$//'); do
		grep -qx -- "$target" "$tmp/anchors" || complain "there is no section #$target"
	done
	for target in $(grep -oE '`(examples|tests|doc|benchmarks)/[a-z_./-]+`' "$guide" | tr -d '`'); do
		[ -e "$src/$target" ] || complain "there is no $target"
	done
}

check_program() {
	local got
	awk '/^```c$/ { on = 1; next } on && /^```/ { exit } on' "$guide" >"$tmp/first.c"
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$src/include" "$tmp/first.c" -o "$tmp/first" \
		-L"$build/.libs" -lart -Wl,-rpath,"$build/.libs" ||
		{ complain "the first program does not compile" && return; }
	got=$(timeout 60 "$build/artrun" -n 4 "$tmp/first" </dev/null 2>&1)
	[ "$got" = "the sum of 4 of 4 ranks is 10" ] || complain "the first program prints '$got'"
}

check_messages
check_names
check_links
check_program
[ $failures = 0 ] || echo "$failures failed"
[ $failures = 0 ]
