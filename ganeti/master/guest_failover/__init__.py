# SPDX-License-Identifier: BSD-2-Clause
"""Failover of guests when a node is lost: read ``decisions``, then ``supervisor``."""
