#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract on tcp with an address of each family.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" tcp-dual
