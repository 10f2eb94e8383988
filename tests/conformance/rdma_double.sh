#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on rdma over a double of libibverbs that does what
# devices may do: place bytes in any order and late, refuse memory, fail.
set -u
conformance=${ART_BUILDDIR:-.}/tests/conformance/conformance_double
failed=0
if [ ! -x "$conformance" ]; then
	echo "this build has no RDMA: libibverbs was not found"
	exit 77
fi
for run in "rdma prompt" "rdma backwards" "rdma breaks" "rdma-alone prompt" "rdma late" "rdma-plain infiniband" \
	"rdma hardly" "multi-rdma outline" "fault+rdma breaks" "rdma shared" "rdma-alone shared" "rdma shared-breaks"; do
	echo "== $run"
	"$conformance" $run || failed=1
done
exit $failed
