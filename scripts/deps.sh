#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing: deps.sh SET..., sets build, check, extra, lab, machine (for tests/lab/rdma)
# and peers (what benchmarks/compare compares ART with; no test needs it). Says nothing when all is
# there. On Debian and Ubuntu as root, or with sudo where that asks no password, it says what it installs
# and does it; elsewhere it names the packages and exits 1.
set -u
PATH=$PATH:/usr/sbin:/sbin

# probe, argument, Debian package
needs() {
	case $1 in
	build) cat <<-END
		command gcc gcc
		command make make
		command autoconf autoconf
		command automake automake
		command libtoolize libtool
		command pkg-config pkg-config
		command xz xz-utils
		header stdio.h libc6-dev
		module libsodium libsodium-dev
		module libxxhash libxxhash-dev
		module hwloc libhwloc-dev
		module jansson libjansson-dev
		module libibverbs libibverbs-dev
		END
		;;
	check) cat <<-END
		command g++ g++
		command nm binutils
		command python3 python3
		module cunit libcunit1-dev
		END
		;;
	extra) cat <<-END
		command clang clang
		command spin spin
		command valgrind valgrind
		command groff groff-base
		END
		;;
	lab) cat <<-END
		command sshd openssh-server
		command ssh openssh-client
		command ip iproute2
		command tc iproute2
		command nft nftables
		command unshare util-linux
		command setpriv util-linux
		command mount mount
		command hostname hostname
		command kill procps
		END
		;;
	machine) cat <<-END
		command qemu-system-x86_64 qemu-system-x86
		package busybox-static busybox-static
		command dpkg dpkg
		command python3 python3
		command ip iproute2
		command rdma iproute2
		command setpriv util-linux
		command ibv_devices ibverbs-utils
		command ib_write_bw perftest
		package ibverbs-providers ibverbs-providers
		END
		;;
	peers) cat <<-END
		command mpirun.openmpi openmpi-bin
		module ompi-c libopenmpi-dev
		command mpiexec.mpich mpich
		module mpich libmpich-dev
		END
		;;
	esac
}

present() {
	case $1 in
	command) command -v "$2" >/dev/null 2>&1 ;;
	header) echo "#include <$2>" | gcc -E - >/dev/null 2>&1 ;;
	module) pkg-config --exists "$2" 2>/dev/null ;;
	package) dpkg-query -W -f '${db:Status-Status}' "$2" 2>/dev/null | grep -qx installed ;;
	esac
}

missing() {
	local set probe what package
	for set in "$@"; do
		needs "$set" | while read -r probe what package; do
			present "$probe" "$what" || echo "$package"
		done
	done
}

give_up() {
	echo "deps: $1; please install:" $2 >&2
	exit 1
}

main() {
	local packages root log set
	for set in "$@"; do
		[ -n "$(needs "$set")" ] || { echo "deps: no such set: $set" >&2; exit 1; }
	done
	packages=$(missing "$@" | sort -u | tr '\n' ' ')
	[ -n "$packages" ] || exit 0
	command -v apt-get >/dev/null 2>&1 || give_up "this is no Debian or Ubuntu" "$packages"
	if [ "$(id -u)" = 0 ]; then
		root=
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		root="sudo -n"
	else
		give_up "cannot install packages as this user" "$packages"
	fi
	echo "deps: installing with apt-get:" $packages
	log=$(mktemp) || exit 1
	export DEBIAN_FRONTEND=noninteractive
	if ! { $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		rm -f "$log"
		give_up "apt-get failed" "$packages"
	fi
	rm -f "$log"
	packages=$(missing "$@" | sort -u | tr '\n' ' ')
	[ -z "$packages" ] || give_up "still missing after apt-get" "$packages"
}

main "$@"
