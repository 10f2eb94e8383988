#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In two machines that tests/lab/rdma makes (--machines 2): how one runs commands on the other, in the place of
# ssh. Their network has these two only.
#
#   rdma_far.sh serve            runs what others ask for, until it is ended
#   rdma_far.sh HOST COMMAND     as ssh does, but for the exit status: a way for artrun --rsh
set -u
port=514
if [ "$1" = serve ]; then
	exec /bin/busybox nc -ll -p $port -e /bin/bash -c 'IFS= read -r command; exec bash -c "$command"'
fi
host=$1
shift
{ printf '%s\n' "$*"; cat; } | /bin/busybox nc "$host" $port
