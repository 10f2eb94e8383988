#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on shm and tcp together.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" multi
