#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the tarball is whole: every file of the repository is in it, it builds out of tree
# from read-only sources (not optimised: the other builds are), passes its unit tests, installs,
# uninstalls and cleans up after itself.
set -eu
cd "${ART_BUILDDIR:?}"
make -s -j"$(nproc)" distcheck DISTCHECK_CONFIGURE_FLAGS=CFLAGS=-O0

missing=$(git -C "${ART_SRCDIR:?}" ls-files -co --exclude-standard 2>/dev/null |
	grep -vxE '\.gitignore|\.ci/.*' | sort |
	comm -23 - <(tar tJf art-*.tar.xz | sed 's,^[^/]*/,,' | sort))
[ -z "$missing" ] || { echo "not in the tarball (Makefile.am, EXTRA_DIST):" $missing; exit 1; }
