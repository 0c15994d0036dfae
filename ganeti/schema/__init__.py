# SPDX-License-Identifier: BSD-2-Clause
"""Declared records: read ``records`` first, then ``types``; ``reading`` reports every problem."""
