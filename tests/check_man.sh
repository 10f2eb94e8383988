#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the man pages in doc/man and what they describe agree: prototypes, error codes,
# settings, the tools' options; no page names what does not exist; all have the same sections,
# are installed, and format without warnings.
set -u
export LC_ALL=C

src=$(realpath "${ART_SRCDIR:-.}")
build=$(realpath "${ART_BUILDDIR:-.}")
failures=0

complain() {
	echo "FAIL check_man: $*"
	failures=$((failures + 1))
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$src/doc/man" || exit 1

# Prototypes, one a line, with blanks where C needs them only; then "name prototype".
tidy() {
	tr -s '[:space:]' ' ' | tr ';' '\n' |
		sed -e 's/ *\([](),*[]\) */\1/g' -e 's/^ *//' -e 's/ *$//' -e '/^$/d'
}

prototypes_of_headers() {
	cat "$src"/include/art/*.h | sed '/^[[:space:]]*#/,/[^\\]$/d' | tr '\n' ' ' |
		sed 's,/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/,,g' | grep -o 'ART_API [^;]*;' |
		sed 's/^ART_API //' | tidy
}

# "page|prototype", a page after the other, arguments of .BI and .B joined as troff joins them.
prototypes_of_pages() {
	awk '
		FNR == 1 || /^\.SH / { on = $0 == ".SH SYNOPSIS" }
		!on || !/^\.BI? / || /#include/ { next }
		/typedef/ { skip = 1 }
		skip { skip = !/;/; next }
		{
			sub(/^\.BI? +/, "")
			while ($0 != "") {
				if (match($0, /^"[^"]*"/))
					line = line substr($0, 2, RLENGTH - 2)
				else if (match($0, /^[^ ]+/))
					line = line substr($0, 1, RLENGTH)
				$0 = substr($0, RLENGTH + 1)
				sub(/^ +/, "")
			}
			line = line " "
		}
		line ~ /; *$/ { print FILENAME "|" line; line = "" }' ./*.3 |
		tidy
}

# The name that a prototype declares, behind "page|" or not.
name_in() {
	name=${1%%(*}
	name=${name##*[ *|]}
}

check_prototypes() {
	local proto name page
	local -A title source
	while IFS='|' read -r page proto; do
		title[$page]=${proto%% \\- *},
	done < <(awk '
		FNR == 1 || /^\.SH / { on = $0 == ".SH NAME" }
		/^\.SH SYNOPSIS/ { print FILENAME "|" text; text = "" }
		on && !/^\./ { text = text (text ? " " : "") $0 }' *.3)
	while IFS=: read -r page proto; do
		source[$page]=$proto
	done < <(grep '^\.so man3/' ./*.3 | sed 's,^\./\(.*\):\.so man3/,\1:,')

	[ "$(wc -l <"$tmp/declared")" -gt 30 ] || complain "cannot read include/art"
	while read -r proto; do
		name_in "$proto"
		page=${source[$name.3]-$name.3}
		if [ ! -e "$name.3" ] || [ ! -e "$page" ]; then
			complain "$name has no page, doc/man/$page"
		elif [[ ", ${title[$page]-}" != *", $name,"* ]]; then
			complain "the NAME of $page lacks $name"
		elif ! grep -qxF -- "./$page|$proto" "$tmp/described"; then
			complain "the SYNOPSIS of $page lacks '$proto'"
		fi
	done <"$tmp/declared"
	while IFS='|' read -r page proto; do
		name_in "$proto"
		grep -qxF -- "$proto" "$tmp/declared" ||
			complain "$page describes '$proto', which include/art does not have"
		[ -e "$name.3" ] || complain "$page describes $name, and $name.3 does not exist"
	done <"$tmp/described"
}

check_sections() {
	local page got
	while read -r page got; do
		[ "$got" = "NAME,SYNOPSIS,DESCRIPTION,RETURN VALUE,ERRORS,FAILURES,NOTES,SEE ALSO," ] ||
			complain "$page has the sections $got"
	done < <(awk '
		FNR == 1 { if (page && got) print page, got; page = FILENAME; got = "" }
		/^\.SH / && $2 != "EXAMPLE" { got = got substr($0, 5) "," }
		END { if (got) print page, got }' art_*.3)
}

check_errors() {
	local name value text n=0
	while IFS='|' read -r name value text; do
		n=$((n + 1))
		grep -A1 "^\.BR $name \" ($value)\"" "$tmp/art.7" | grep -qiF -- "$text." ||
			complain "art.7 lacks $name ($value), \"$text\""
	done < <(sed -n 's/.*X(\(ART_[A-Z_]*\), \(-\{0,1\}[0-9]*\), "\(.*\)").*/\1|\2|\3/p' \
		"$src/include/art/status.h")
	[ $n -gt 0 ] || complain "found no codes in include/art/status.h"
}

check_settings() {
	local name preset n=0
	while IFS='|' read -r name preset; do
		n=$((n + 1))
		grep -q "^\.BR $name \" (default: ${preset:-empty})\"" "$tmp/art.7" ||
			complain "art.7 lacks the setting $name (default: ${preset:-empty})"
	done < <(sed -nE 's/^[[:space:]]*(\{|SETTING\() *"(ART_[A-Z_]*)",( *[a-z_]*,)? *"([^"]*)",.*/\2|\4/p' \
		"$src/src/api/config.c")
	[ $n -gt 0 ] || complain "found no settings in src/api/config.c"
	[ "$(grep -c '^\.BR ART_.* (default:' "$tmp/art.7")" = $n ] ||
		complain "art.7 documents settings that src/api/config.c does not have"
}

# What --help says, and the heads of the items in OPTIONS; --help and its kin need no mention.
check_options() {
	local tool option
	for tool in $(sed -n 's/^bin_PROGRAMS = //p' "$src/Makefile.am"); do
		[ -e "$tool.1" ] || { complain "$tool has no page" && continue; }
		timeout 20 "$build/$tool" --help >"$tmp/help" 2>&1 </dev/null ||
			complain "$tool --help fails"
		grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*[a-z]' "$tmp/help" | sed 's/^[^-]*//' |
			grep -vxE -- '--(help|usage|version)' | sort -u >"$tmp/has"
		awk '/^\.SH / { on = $2 == "OPTIONS" } on && head; { head = /^\.TP/ }' "$tool.1" |
			sed -e 's/\\f[BIRP]//g' -e 's/\\-/-/g' | grep -oE -- '--[a-z][a-z-]*[a-z]' |
			grep -vxE -- '--(help|usage|version)' | sort -u >"$tmp/documents"
		for option in $(comm -23 "$tmp/has" "$tmp/documents"); do
			complain "$tool.1 lacks $option"
		done
		for option in $(comm -13 "$tmp/has" "$tmp/documents"); do
			complain "$tool.1 documents $option, which $tool --help does not list"
		done
	done
}

# What looks like a name of ART's is one: of the headers, a variable that the sources know, or
# another page.
check_names() {
	{
		cat "$src"/include/art/*.h | grep -oE '\b(ART_[A-Z0-9_]+|art_[a-z0-9_]+)\b'
		cat "$src"/src/*/*.[ch] | grep -oE '"ART_[A-Z_]+"' | tr -d '"'
		ls -- *.[1-9]
	} | sort -u >"$tmp/names"
	grep -H '' -- *.[1-9] |
		sed -E -e '/:\.(TH|so) /d' -e 's/\\f[BIRP]//g' -e 's/\\-/-/g' -e 's/:\.[A-Z]* /: /' \
			-e 's/([a-z0-9_-]) ?\(([1-9])\)/\1.\2/g' | awk '
		BEGIN { while ((getline name <"'"$tmp/names"'") > 0) known[name] = 1 }
		{
			page = $0
			sub(/:.*/, "", page)
			sub(/^[^:]*:/, "")
			gsub(/[^A-Za-z0-9_.-]+/, " ")
			for (i = split($0, word, " "); i > 0; i--) {
				w = word[i]
				if (w !~ /^art[a-z0-9_-]*\.[1-9]/)
					sub(/[.-].*/, "", w)
				sub(/\.$/, "", w)
				if (w ~ /^(ART_[A-Z0-9_]*[A-Z0-9]|art_[a-z0-9_]+|art[a-z0-9_-]*\.[1-9])$/ &&
				    !known[w])
					print page " names " w
			}
		}' | sort -u >"$tmp/unknown"
	while read -r page; do
		complain "$page, which does not exist"
	done <"$tmp/unknown"
}

check_installed() {
	diff <(awk '$1 == "dist_man_MANS" { on = 1; next }
		on { more = /\\$/; print $1; on = more }' "$src/Makefile.am" | sort) \
		<(ls -d -- *.[1-9] | sed 's,^,doc/man/,' | sort) ||
		complain "dist_man_MANS in Makefile.am and doc/man differ"
}

check_format() {
	local said
	grep -nHE '.{121,}' ./*.[1-9] && complain "lines of more than 120 characters"
	grep -nHP '[^\x00-\x7f]' ./*.[1-9] && complain "letters beyond ASCII"
	if ! command -v groff >/dev/null 2>&1; then
		echo "check_man: the pages were not formatted: groff is not installed"
		return
	fi
	said=$(groff -man -Tascii -ww -z $(grep -L '^\.so ' -- *.[1-9]) 2>&1) && [ -z "$said" ] ||
		complain "pages do not format: $said"
}

sed 's/\\-/-/g' art.7 >"$tmp/art.7" || exit 1
prototypes_of_headers >"$tmp/declared"
prototypes_of_pages >"$tmp/described"
check_prototypes
check_sections
check_errors
check_settings
check_options
check_names
check_installed
check_format
[ $failures = 0 ] || echo "$failures failed"
[ $failures = 0 ]
