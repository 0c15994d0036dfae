# SPDX-License-Identifier: BSD-2-Clause
"""Tests of moves of instances."""
