# SPDX-License-Identifier: BSD-2-Clause
"""Instances: ``table`` has their fields, ``row`` what these look at, ``objects`` whole lists."""
