# SPDX-License-Identifier: BSD-2-Clause
"""Disks on LVM: ``volumes`` is the driver, built on ``lvm_commands`` and ``reports``."""
