#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on rdma with the device of this host.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" rdma
