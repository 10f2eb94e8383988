#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on shm and tcp, where each pair has to fall back to tcp.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" multi-lost
