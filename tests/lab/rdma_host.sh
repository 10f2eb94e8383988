#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In the machine that tests/lab/rdma makes: artrun ... bash rdma_host.sh COMMAND... runs each rank on a
# host of its own (rank modulo hosts): it listens at that host's address and is that host's user, so that
# what it sends goes over its cable. With ART_LAB_WAY=free, what it sends over TCP takes the short way
# inside the machine, like a network for management beside the fast one. With ART_LAB_CAPS=keep a rank may
# still do to the others what root may: signals, looks into their memory.
host=$((${ART_RANK:?is given by artrun} % ${ART_LAB_HOSTS:?is set in the machine of tests/lab/rdma} + 1))
export ART_IFACE=10.77.0.$host
umask 0
user=$((1000 + host)) caps=
[ "${ART_LAB_WAY-}" != free ] || user=999
[ "${ART_LAB_CAPS-}" != keep ] || caps="--inh-caps +all --ambient-caps +all"
exec setpriv --reuid $user --clear-groups $caps "$@"
