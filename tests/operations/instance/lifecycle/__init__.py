# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the life cycle of instances."""
