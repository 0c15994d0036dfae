# SPDX-License-Identifier: BSD-2-Clause
"""Tests of changes of instances."""
