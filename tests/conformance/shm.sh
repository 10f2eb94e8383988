#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on shm.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" shm
