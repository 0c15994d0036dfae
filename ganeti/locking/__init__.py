# SPDX-License-Identifier: BSD-2-Clause
"""Locks on objects of the cluster, granted all or nothing; read ``lock_table`` first."""
