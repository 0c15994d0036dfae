# SPDX-License-Identifier: BSD-2-Clause
"""Disks mirrored by DRBD 8.4: ``volumes`` is the driver, over ``commands`` and ``reading``."""
