#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on shm behind the fault decorator without rules.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" fault+shm
