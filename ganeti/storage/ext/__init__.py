# SPDX-License-Identifier: BSD-2-Clause
"""Disks of external storage providers (ganeti-extstorage-interface(7)); read ``volumes`` first."""
