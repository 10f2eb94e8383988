#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: make install into an empty place; a C and a C++ program outside the tree compile
# with nothing but pkg-config and run.
set -eu
build=${ART_BUILDDIR:?}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

make -s -C "$build" install DESTDIR="$stage" >"$stage/log" 2>&1 || { tail "$stage/log"; exit 1; }
prefix=$stage$(sed -n 's/^prefix = //p' "$build/Makefile")
for file in include/art/art.h include/art/options.h include/art/status.h lib/libart.so \
	lib/libart.so.0 lib/pkgconfig/art.pc bin/artrun bin/art-bench bin/art-info share/man/man1/artrun.1 \
	share/man/man3/art_bcast.3 share/man/man3/art_ibcast.3 share/man/man7/art.7; do
	[ -e "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
[ -z "$(find "$stage" -name 'libart_*')" ] || { echo "installed too much"; exit 1; }

cat >"$stage/consumer.c" <<'END'
#include <art/art.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	int in = 42, out = 0, size = 0;
	if (art_init(&argc, &argv) || art_comm_size(ART_COMM_WORLD, &size))
		return 1;
	if (art_allreduce(&in, &out, 1, ART_INT32, ART_SUM, ART_COMM_WORLD))
		return 1;
	printf("%s %d %d\n", art_strerror(ART_SUCCESS), size, out);
	return art_finalize() || out != 42 * size;
}
END
cp "$stage/consumer.c" "$stage/consumer.cc"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
flags=$(pkg-config --cflags --libs art)
export LD_LIBRARY_PATH=$prefix/lib
gcc -std=c11 -pedantic -Wall -Wextra -Werror "$stage/consumer.c" $flags -o "$stage/c"
g++ -std=c++11 -Wall -Wextra -Werror "$stage/consumer.cc" $flags -o "$stage/cxx"
for program in c cxx; do
	[ "$("$stage/$program")" = "success 1 42" ] || { echo "$program alone: wrong output"; exit 1; }
	[ "$("$prefix/bin/artrun" -n 3 "$stage/$program" | sort -u)" = "success 3 126" ] ||
		{ echo "$program under artrun: wrong output"; exit 1; }
done
echo "installed, compiled and ran as C and as C++"
