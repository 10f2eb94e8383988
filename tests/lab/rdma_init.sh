#!/bin/busybox sh
# SPDX-License-Identifier: MIT
#
# Process 1 of the virtual machine that tests/lab/rdma makes: mounts what the real machine has, makes the
# hosts, runs the command, says how it ended, and switches off. Its own words go to the console; what it
# says to the other side: "up", "exit STATUS", "failed WHY".
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
. /job/setting # HOSTS LIMIT SHARE NOW UMASK MACHINE

off() {
	kill -9 -1
	sync
	[ -z "$SHARE" ] || umount "/new$SHARE"
	poweroff -f
}

failed() {
	[ -z "$state" ] || echo "failed $*" >"$state"
	echo "failed: $*"
	off
}

load() { # the modules up to and with $1
	local name
	while read -r name <&3; do
		insmod "/lib/modules/$name.ko" 2>/tmp-insmod || grep -q -e exists -e 'No such device' /tmp-insmod ||
			failed "$name: $(cat /tmp-insmod)"
		[ "$name" != "$1" ] || return
	done
}

# The device of the channel called $1: channels, and then their names, come a moment after the driver.
port() {
	local p try
	for try in $(seq 500); do
		for p in /sys/class/virtio-ports/*; do
			if [ "$(cat "$p/name" 2>/dev/null)" = "$1" ] && [ -c "/dev/${p##*/}" ]; then
				echo "/dev/${p##*/}"
				return
			fi
		done
		usleep 20000
	done
}

# Everything of the real machine, read only; what is written stays in memory. Directories that programs
# keep sockets and large files in are of memory altogether.
mount_all() {
	local way=trans=virtio,version=9p2000.L,msize=262144 p
	mount -t 9p -o "$way,ro,cache=loose" root /host || failed "no file system of the real machine"
	mount -t tmpfs upper /upper
	mkdir /upper/files /upper/work
	mount -t overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work overlay /new ||
		failed "no file system"
	for p in proc sys dev; do
		mount --rbind /$p /new/$p || failed "/$p"
	done
	mkdir -p /dev/shm /dev/pts /new/run /new/etc
	mount -t tmpfs -o mode=1777 shm /dev/shm
	mount -t devpts -o ptmxmode=666 pts /dev/pts
	mount -t tmpfs -o mode=755 run /new/run
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	if [ -n "$SHARE" ]; then
		mkdir -p "/new$SHARE"
		mount -t 9p -o "$way,cache=none" share "/new$SHARE" || failed "the shared directory"
	fi
	# libibverbs would load the drivers of all hardware there is, over the file system.
	if [ -d /new/etc/libibverbs.d ]; then
		mkdir /drivers
		echo "driver rxe" >/drivers/rxe.driver
		mount --bind /drivers /new/etc/libibverbs.d
	fi
}

inside() { chroot /new /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# The hosts' addresses are all local, and packets between them would never leave: a table of its own per
# source says that only the own address is, and is looked at before the local one, for what starts here
# (iif lo). The same for what a user's sockets send before they have an address.
hosts() {
	local k ip
	for k in all/rp_filter=0 default/rp_filter=0 all/accept_local=1 all/arp_ignore=1 all/arp_announce=2; do
		echo "${k#*=}" >"/proc/sys/net/ipv4/conf/${k%=*}"
	done
	{
		echo "link set lo up"
		echo "link add sw type bridge forward_delay 0"
		echo "link set sw up"
		for k in $(seq "$HOSTS"); do
			ip=10.77.0.$k
			echo "link add eth$((k - 1)) address 02:a7:00:01:00:0$k mtu 9000 type veth peer name port$((k - 1)) mtu 9000"
			echo "link set port$((k - 1)) master sw up"
			echo "link set eth$((k - 1)) up"
			echo "addr add $ip/24 dev eth$((k - 1))"
			echo "route add throw $ip/32 table $((100 + k))"
			echo "route add 10.77.0.0/24 dev eth$((k - 1)) src $ip table $((100 + k))"
		done
		for k in $(seq "$HOSTS"); do
			echo "rule add pref 10 from 10.77.0.$k iif lo lookup $((100 + k))"
			echo "rule add pref 20 uidrange $((1000 + k))-$((1000 + k)) iif lo lookup $((100 + k))"
		done
		echo "rule add pref 100 lookup local"
		echo "rule del pref 0"
	} >/hosts
	inside ip -batch - </hosts || failed "the network cannot be made"
	for k in $(seq "$HOSTS"); do
		inside rdma link add rxe$((k - 1)) type rxe netdev eth$((k - 1)) || failed "no device rxe$((k - 1))"
	done
	hostname localhost
}

# This machine is one host, and the other one is at the other end of its only cable.
one_host() {
	hostname "machine$MACHINE"
	printf '127.0.0.1 localhost\n10.77.0.1 machine1\n10.77.0.2 machine2\n' >/new/etc/hosts
	printf '%s\n' "link set lo up" "link set eth0 mtu 9000 up" "addr add 10.77.0.$MACHINE/24 dev eth0" >/hosts
	inside ip -batch - </hosts || failed "the network cannot be made"
	inside rdma link add rxe0 type rxe netdev eth0 || failed "no device rxe0"
}

# All processors; and the kernel's threads that do the devices' work go before programs that spin.
all_processors() {
	local p
	for p in /sys/devices/system/cpu/cpu[1-9]*/online; do
		[ ! -e "$p" ] || echo 1 >"$p"
	done
	for p in $(ps -o pid,comm | awk '$2 ~ /^ksoftirqd/ { print $1 }'); do
		inside chrt -f -p 10 "$p"
	done
}

exec 3</order
load virtio_console
state=$(port state) out=$(port out) err=$(port err)
[ -c "$state" ] && [ -c "$out" ] && [ -c "$err" ] || failed "no channels to the other side"
load overlay
date -s "@$NOW" >/dev/null
mount_all
load none
exec 3<&-
if [ "$MACHINE" ]; then one_host; else hosts; fi
all_processors
echo up >"$state"
umask $UMASK
setsid chroot /new timeout -k 5 "$LIMIT" bash -c "$(cat /job/command)" \
	</dev/null >"$out" 2>"$err"
echo "exit $?" >"$state"
off
