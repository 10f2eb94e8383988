#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on fault+tcp over IPv6.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" fault+tcp6
