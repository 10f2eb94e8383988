#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on tcp over IPv6.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" tcp6
