#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A laboratory of several hosts on one machine, for tests of jobs over ssh and of failures. Needs
# root. A host is a process tree with network, names, processes, System V objects and mounts of its
# own: its address on eth0, its boot id, /proc, /sys, /dev/shm and /run, and an sshd, so that plain
# `ssh art2` works inside without a question. The rest of the file system is everyone's, like a
# shared home. Host 0 is meant for the launcher.
#
#   check                exit 77 with the reason if there can be no laboratory here
#   up [N]               hosts art0 and art1 .. artN (4)
#   down                 the end of all of it
#   exec HOST CMD...     runs CMD on HOST (a name or number) in the present directory
#   hostfile [SLOTS]     a line for each of art1 .. artN
#   pid HOST             its process 1, as seen from outside
#   status               a line per host
#
# Failures; heal takes back all but kill and poweroff, reboot takes back everything:
#   cut HOST             its cable ends nowhere: silence, and the link looks well
#   unplug HOST          the same, and HOST sees it
#   part A B             A and B do not hear each other
#   split A,B,.. C,D,..  none of the first hears one of the second, all from one moment on
#   oneway A B           B does not hear A
#   loss HOST PERCENT    of the packets to and from HOST are dropped
#   rate HOST RATE       both ways, as tc(8) writes rates: 100mbit
#   freeze HOST, thaw HOST    all its processes are stopped; its kernel goes on
#   kill HOST            SIGKILL to all its processes but the first: its kernel says so to others
#   poweroff HOST        cut, and then the end of everything on it: others hear nothing
#   heal HOST
#   reboot HOST          comes up empty, under the same name and address
#
# State is in the directory ART_LAB, so that several laboratories can be up at once; each has
# a network of its own, ART_LAB_NET (three bytes, 10.77.0): nothing of them shows on the machine's.
# All processes of a laboratory live under one, and end with it.
set -euo pipefail

lab=${ART_LAB:-${TMPDIR:-/tmp}/art-lab.$(id -u)}
net=${ART_LAB_NET:-10.77.0}
self=$(readlink -f "${BASH_SOURCE[0]}")
PATH=$PATH:/usr/sbin:/sbin

die() { echo "lab: $*" >&2; exit 1; }
skip() { echo "lab: $*"; exit 77; }

number() { # of a host, from its name or number
	local n=${1#art}
	[[ $n =~ ^[0-9]+$ ]] || die "there is no host '$1'"
	echo "$n"
}

address() { [ "$1" = 0 ] && echo "$net.254" || echo "$net.$1"; }

# pause: a moment between two looks, without a process of its own.
exec {never}<> <(:)
pause() { read -rt 0.01 -u "$never" || true; }

# await SECONDS COMMAND...
await() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		pause
	done
}

# ---- processes: noted with the moment of their start, so that no stranger of the same number is
# ---- ever meant

started() { # of process $1; nothing if it is gone or a zombie
	local text
	{ read -r text <"/proc/$1/stat"; } 2>/dev/null || return 0
	set -- ${text##*) }
	case $1 in Z | X) ;; *) echo "${20}" ;; esac
}

note() { # note NAME PID
	echo "$2 $(started "$2")" >"$lab/$1.pid"
}

noted() { # the pid of NAME, while it lives
	local pid moment
	{ read -r pid moment <"$lab/$1.pid"; } 2>/dev/null || return 1
	[ -n "$moment" ] && [ "$(started "$pid")" = "$moment" ] && echo "$pid"
}

is_gone() { ! noted "$1" >/dev/null; }

end() { # of NAME, awaited
	local pid
	if pid=$(noted "$1"); then
		kill -KILL "$pid" 2>/dev/null || true
		await 100 is_gone "$1" || die "$1 does not end"
	fi
	rm -f "$lab/$1.pid"
}

at_switch() { nsenter -t "$(noted switch)" -n "$@"; }

at_host() { # NUMBER CMD...
	local pid
	pid=$(noted "host$1") || die "art$1 is down"
	shift
	nsenter -t "$pid" -n -u -i -m -p "$@"
}

# ---- a host -------------------------------------------------------------------------------------

# Process 1 of a host. /proc is still the machine's when it begins, and tells our number there.
# bash reaps whatever is left to it.
be_host() {
	local number file
	read -r number _ </proc/self/stat
	mount --make-rprivate /
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	mkdir -p "$lab/art$1/etc"
	cat /proc/sys/kernel/random/uuid >"$lab/art$1/etc/boot_id"
	echo "art$1" >"$lab/art$1/etc/hostname"
	mount --bind "$lab/art$1/etc/boot_id" /proc/sys/kernel/random/boot_id
	[ ! -e /etc/hostname ] || mount --bind "$lab/art$1/etc/hostname" /etc/hostname
	mount --bind "$lab/hosts" /etc/hosts
	[ ! -e /etc/ssh/ssh_config ] || mount --bind "$lab/ssh_config" /etc/ssh/ssh_config
	# Commands over ssh start at once, whatever root's shell does on this machine when it begins.
	for file in ~root/.bashrc ~root/.zshenv ~root/.cshrc ~root/.tcshrc; do
		[ ! -e "$file" ] || mount --bind /dev/null "$file"
	done
	case $lab/ in
	/run/*) ;; # the state must stay visible
	*) mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd ;;
	esac
	hostname "art$1"
	ip link set lo up
	echo "$number" >"$lab/art$1/outside.new"
	mv "$lab/art$1/outside.new" "$lab/art$1/outside"
	trap : TERM INT HUP
	while :; do
		sleep 1000 & wait $! || true
	done
}

# Process 1 of the laboratory; its network is the switch.
be_switch() {
	trap : TERM INT HUP
	ip link add sw type bridge forward_delay 0
	ip link set sw up
	: >"$lab/switch.up"
	while :; do
		sleep 1000 & wait $! || true
	done
}

start_host() { # NUMBER
	local dir=$lab/art$1 pid
	mkdir -p "$dir"
	rm -f "$dir/outside"
	setsid nsenter -t "$(noted switch)" -p unshare --net --uts --ipc --pid --mount --fork \
		--kill-child=KILL bash "$self" be_host "$1" </dev/null >"$dir/log" 2>&1 &
	await 100 test -e "$dir/outside" || die "art$1 does not come up: $(cat "$dir/log")"
	read -r pid <"$dir/outside"
	note "host$1" "$pid"
	# A fixed hardware address: after a reboot nobody has to learn a new one.
	nsenter -t "$pid" -n ip link add eth0 address "$(printf '02:a7:00:00:00:%02x' "$1")" \
		type veth peer name "p$1" netns "$(noted switch)"
	nsenter -t "$pid" -n ip addr add "$(address "$1")/24" dev eth0
	nsenter -t "$pid" -n ip link set eth0 up
	at_switch ip link set "p$1" master sw up
	at_host "$1" "$(command -v sshd)" -f "$lab/sshd_config" || die "no sshd on art$1"
}

# ---- all of it ----------------------------------------------------------------------------------

check() {
	local tool
	[ "$(id -u)" = 0 ] || skip "several hosts on one machine need root"
	for tool in sshd ssh ssh-keygen ip tc nft unshare nsenter setpriv mount hostname; do
		command -v $tool >/dev/null || skip "$tool is not installed"
	done
	unshare --net --uts --ipc --pid --mount --fork sh -c \
		'mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm && mount -t proc proc /proc &&
		mount -t sysfs sysfs /sys && hostname art && ip link add port0 type veth peer name port1 &&
		ip link add sw type bridge' >/dev/null 2>&1 ||
		skip "this system does not allow namespaces with networks and mounts of their own"
}

write_files() { # N
	local i
	{
		echo "127.0.0.1 localhost"
		for ((i = 0; i <= $1; i++)); do
			echo "$(address $i) art$i"
		done
	} >"$lab/hosts"
	ssh-keygen -q -t ed25519 -N '' -f "$lab/user_key"
	ssh-keygen -q -t ed25519 -N '' -f "$lab/host_key"
	cat >"$lab/ssh_config" <<-END
		Host *
			IdentityFile $lab/user_key
			IdentitiesOnly yes
			StrictHostKeyChecking no
			UserKnownHostsFile /dev/null
			LogLevel ERROR
	END
	cat >"$lab/sshd_config" <<-END
		HostKey $lab/host_key
		AuthorizedKeysFile $lab/user_key.pub
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		StrictModes no
		UsePAM no
		UseDNS no
		PidFile none
		MaxStartups 500
		MaxSessions 500
	END
}

up() {
	local n=${1:-4} i
	[[ $n =~ ^[0-9]+$ ]] && [ "$n" -ge 1 ] && [ "$n" -le 250 ] || die "1 to 250 hosts, not '$n'"
	! noted switch >/dev/null || die "already up: $lab"
	mkdir -p "$lab"
	chmod 700 "$lab"
	rm -f "$lab"/*_key* "$lab"/switch.up
	echo "$n" >"$lab/n"
	write_files "$n"
	setsid unshare --net --pid --fork --kill-child=KILL bash "$self" be_switch </dev/null \
		>"$lab/log" 2>&1 &
	await 100 test -e "$lab/switch.up" || die "the switch does not come up: $(cat "$lab/log")"
	note switch "$(cat "/proc/$!/task/$!/children" | tr -d ' ')"
	for ((i = 0; i <= n; i++)); do
		start_host $i
	done
}

down() {
	[ -e "$lab/n" ] || return 0
	end switch
	rm -rf "$lab"
}

hostfile() {
	local i
	for ((i = 1; i <= $(cat "$lab/n"); i++)); do
		echo "art$i${1:+ slots=$1}"
	done
}

link_state() { # NUMBER
	case $(at_switch ip -o link show "p$1" 2>/dev/null) in
	*'state DOWN'*) echo unplugged ;;
	*'master sw'*) echo linked ;;
	*) echo cut ;;
	esac
}

status() {
	local i
	[ -e "$lab/n" ] || { echo "down"; return; }
	for ((i = 0; i <= $(cat "$lab/n"); i++)); do
		if noted "host$i" >/dev/null; then
			echo "art$i $(address $i) pid $(noted "host$i") $(link_state $i)"
		else
			echo "art$i $(address $i) down"
		fi
	done
}

# Whoever waits in nsenter for a command inside is outside: who ends the waiting ends the command.
run_at() { # HOST CMD...
	local pid
	pid=$(noted "host$(number "$1")") || die "$1 is down"
	shift
	exec nsenter -t "$pid" -n -u -i -m -p --wdns="$PWD" setpriv --pdeathsig KILL -- "$@"
}

# ---- failures -----------------------------------------------------------------------------------
# Packets are dropped in the switch: a host that drops its own would get an error from the kernel.
# Each host has its rules in a file; the table is always written as a whole.

install_rules() {
	{
		echo 'table bridge lab'
		echo 'delete table bridge lab'
		printf 'table bridge lab {\nchain cables {\ntype filter hook forward priority 0;\n'
		cat "$lab"/art*/rules 2>/dev/null || true
		printf '}\n}\n'
	} | at_switch nft -f -
}

oneway() { # FROM TO
	echo "iifname \"p$1\" oifname \"p$2\" drop" >>"$lab/art$1/rules"
}

split() { # LIST LIST
	local a b
	for a in ${1//,/ }; do
		for b in ${2//,/ }; do
			oneway "$(number "$a")" "$(number "$b")"
			oneway "$(number "$b")" "$(number "$a")"
		done
	done
	install_rules
}

loss() { # NUMBER PERCENT
	local per_mille way
	per_mille=$(awk -v p="$2" 'BEGIN { printf "%d", p * 10 }')
	# One dropped packet is to be one of the network, not a bundle of 64 KiB.
	at_host "$1" ip link set eth0 gso_max_segs 1
	for way in iifname oifname; do
		echo "$way \"p$1\" numgen random mod 1000 < $per_mille drop" >>"$lab/art$1/rules"
	done
	install_rules
}

rate() { # NUMBER RATE
	at_host "$1" tc qdisc replace dev eth0 root tbf rate "$2" burst 128kb latency 50ms
	at_switch tc qdisc replace dev "p$1" root tbf rate "$2" burst 128kb latency 50ms
}

cut() { at_switch ip link set "p$1" nomaster; }

heal() { # NUMBER
	at_switch ip link set "p$1" up
	at_switch ip link set "p$1" master sw
	at_switch tc qdisc del dev "p$1" root 2>/dev/null || true
	sed -i "/\"p$1\"/d" "$lab"/art*/rules 2>/dev/null || true
	install_rules
	noted "host$1" >/dev/null || return 0
	at_host "$1" tc qdisc del dev eth0 root 2>/dev/null || true
	at_host "$1" ip link set eth0 gso_max_segs 65535
	at_host "$1" kill -CONT -1 2>/dev/null || true
}

# The kernel takes its time to remove the network of a dead host; its cable must not wait for that.
no_cable() {
	at_switch ip link del "p$1" 2>/dev/null || true
	! at_switch ip link show "p$1" >/dev/null 2>&1
}

reboot() {
	end "host$1"
	await 100 no_cable "$1" || die "the cable of art$1 does not go"
	rm -f "$lab/art$1/rules"
	sed -i "/\"p$1\"/d" "$lab"/art*/rules 2>/dev/null || true
	install_rules
	start_host "$1"
}

usage() { sed -n '4,/^set /{/^set /d;s/^# \{0,1\}//p}' "$self"; }

command=${1:-help}
shift || true
case $command in
check | up | down | hostfile | status) "$command" "$@" ;;
be_host | be_switch) "$command" "$@" ;;
exec) run_at "$@" ;;
pid) noted "host$(number "$1")" ;;
cut | heal | reboot) "$command" "$(number "$1")" ;;
split) split "$1" "$2" ;;
loss | rate) "$command" "$(number "$1")" "$2" ;;
unplug) at_switch ip link set "p$(number "$1")" down ;;
part)
	oneway "$(number "$1")" "$(number "$2")"
	oneway "$(number "$2")" "$(number "$1")"
	install_rules
	;;
oneway)
	oneway "$(number "$1")" "$(number "$2")"
	install_rules
	;;
freeze) at_host "$(number "$1")" kill -STOP -1 ;;
thaw) at_host "$(number "$1")" kill -CONT -1 ;;
kill) at_host "$(number "$1")" kill -KILL -1 || true ;;
poweroff)
	cut "$(number "$1")"
	end "host$(number "$1")"
	;;
help | -h | --help) usage ;;
*) die "there is no '$command'; lab.sh help" ;;
esac
