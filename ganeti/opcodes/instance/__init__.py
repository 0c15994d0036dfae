# SPDX-License-Identifier: BSD-2-Clause
"""Requests about instances: ``lifecycle``, ``create``, ``modify``, ``disks`` and ``moves``."""
