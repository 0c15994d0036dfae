# SPDX-License-Identifier: BSD-2-Clause
"""Disks as logical volumes: ``volumes`` is the driver, over ``tools`` and ``reports``."""
