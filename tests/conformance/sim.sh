#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on sim.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" sim
