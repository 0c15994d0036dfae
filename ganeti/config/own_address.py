# SPDX-License-Identifier: BSD-2-Clause
"""Whether the cluster has an address of its own, which moves with the role of the master."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from ganeti.config.state import ClusterState


def has_own_address(state: ClusterState) -> bool:
    """Return whether the cluster has an address that is neither a node's nor the loopback's."""
    used = {node.primary_ip for node in state.nodes.values()}
    used |= {node.secondary_ip for node in state.nodes.values()}
    return moves(state.cluster.master_ip, used)


def moves(address: str, used: Collection[str]) -> bool:
    """Return whether the cluster's address moves, given the addresses that nodes use.

    Those of nodes and of the loopback device, which trial clusters have, do not.
    """
    return bool(address) and address not in used and not ip_address(address).is_loopback
