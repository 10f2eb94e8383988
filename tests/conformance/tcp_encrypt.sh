#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: the transport contract, every case, on tcp with encrypted messages.
exec "${ART_BUILDDIR:-.}/tests/conformance/conformance" tcp-encrypt
