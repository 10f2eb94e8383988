#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract on tcp with short, interrupted and failing system calls.
"${ART_BUILDDIR:-.}/tests/conformance/conformance" tcp-badsys &&
	exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" tcp-badsys-mac
