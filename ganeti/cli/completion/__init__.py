# SPDX-License-Identifier: BSD-2-Clause
"""Completion of command lines in shells; start with ``candidates``."""
