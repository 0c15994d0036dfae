# SPDX-License-Identifier: BSD-2-Clause
"""Changing what an instance is made of: start with ``modify``."""
