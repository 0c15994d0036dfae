# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for instances: ``lifecycle``, ``create``, ``modify``, ``disks`` and ``moves``."""
