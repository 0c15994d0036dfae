# SPDX-License-Identifier: BSD-2-Clause
"""DRBD 8.4 disks: ``volumes`` is the driver, built on ``drbd_commands`` and ``status_parsers``."""
