#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract on fault over tcp with failing system calls.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" fault+tcp-badsys
