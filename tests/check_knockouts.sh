#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Description: every piece that tests/knockouts.py takes out still stands where it says.
exec python3 "${ART_SRCDIR:?}/tests/knockouts.py" --check
