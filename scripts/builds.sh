# SPDX-License-Identifier: MIT
#
# The out-of-tree builds that quickstart and runtests use (sourced): build/NAME for each, made
# only when asked for, brought up to date otherwise.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

# configure would look for a shell that counts its lines, and libtool, which is a script started once a
# file, would run in that: with the plain one a build takes two thirds of the time.
! command -v dash >/dev/null || export CONFIG_SHELL=$(command -v dash)

# Later changes of Makefile.am alone are seen to by make itself.
autoreconf_if_needed() {
	if [ ! -e "$root/configure" ] || [ ! -e "$root/Makefile.in" ] ||
		[ "$root/configure.ac" -nt "$root/configure" ]; then
		mkdir -p "$root/build-aux/m4" && (cd "$root" && autoreconf -i)
	fi
}

# What each build is configured with.
build_options() {
	case $1 in
	quick) ;;
	normal) echo --enable-werror --with-hwloc=yes --with-rdma=yes ;;
	asan) echo --enable-werror --disable-mutants --with-rdma=yes --enable-asan --enable-ubsan "CFLAGS=-O1\ -g" ;;
	tsan) echo --enable-werror --disable-mutants --with-rdma=yes --enable-tsan "CFLAGS=-O1\ -g" ;;
	clang) echo --enable-werror --disable-mutants CC=clang CFLAGS=-O0 ;;
	esac
}

# Configures if that was not done since configure changed; then from scratch.
configure_build() {
	local dir=$root/build/$1
	mkdir -p "$dir" || return 1
	[ "$dir/configured" -nt "$root/configure" ] && return 0
	(cd "$dir" && eval "${CONFIG_SHELL-} ../../configure -q $(build_options "$1")" && make -s clean &&
		touch configured listed)
}

# make does not see that an archive lost a member: after a change of the lists it makes them anew.
forget_archives() {
	[ "$root/Makefile.am" -nt "$1/listed" ] || return 0
	find "$1" -name '*.la' -exec rm -f {} + && touch "$1/listed"
}

# make_build NAME [TARGET...]: everything and its tests, none of them run.
make_build() {
	local dir=$root/build/$1
	shift
	forget_archives "$dir" || return 1
	make --no-print-directory -C "$dir" -j"$jobs" "${@:-all}"
}

# Of clang the warnings: what it builds is tested by tests/package/distcheck.sh.
build_with_tests() {
	autoreconf_if_needed && configure_build "$1" || return 1
	if [ "$1" = clang ]; then
		JOBS=$jobs make_build clang check-syntax
	else
		make_build "$1" all && make_build "$1" check TESTS=
	fi
}
