#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on shm and tcp, of which half of the ranks have tcp only.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" multi-split
