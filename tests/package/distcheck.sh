#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the tarball is whole: every file of the repository is in it, it builds out of tree
# from read-only sources, passes its unit tests, installs, uninstalls and cleans up after itself. It is
# what the other builds are not: of clang where there is one, without hwloc and libibverbs, not optimised.
set -eu
cd "${ART_BUILDDIR:?}"
flags='CFLAGS=-O0 --enable-werror --with-hwloc=no --with-rdma=no'
! command -v clang >/dev/null || flags="$flags CC=clang"
make -s -j"$(nproc)" distcheck "DISTCHECK_CONFIGURE_FLAGS=$flags"

missing=$(git -C "${ART_SRCDIR:?}" ls-files -co --exclude-standard 2>/dev/null |
	grep -vxE '\.gitignore|\.ci/.*' | sort |
	comm -23 - <(tar tJf art-*.tar.xz | sed 's,^[^/]*/,,' | sort))
[ -z "$missing" ] || { echo "not in the tarball (Makefile.am, EXTRA_DIST):" $missing; exit 1; }
