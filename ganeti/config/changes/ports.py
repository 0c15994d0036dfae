# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's pool of TCP ports, for graphical consoles and drbd disks.

Released ports are allocated again before new ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.schema.records import replace

FIRST, LAST = 11000, 14999


def taken(state: ClusterState) -> tuple[int, ClusterState]:
    """Return a free port, and the state with this port allocated.

    :raises Refused: all ports are in use.
    """
    cluster = state.cluster
    if cluster.tcpudp_port_pool:
        port = min(cluster.tcpudp_port_pool)
        left = tuple(each for each in cluster.tcpudp_port_pool if each != port)
        return port, state.put(replace(cluster, tcpudp_port_pool=left))
    port = max(cluster.highest_used_port + 1, FIRST)
    if port > LAST:
        raise Refused(
            f"all ports from {FIRST} to {LAST} are in use; remove instances to release some",
            Code.RESOURCES,
        )
    return port, state.put(replace(cluster, highest_used_port=port))


def given_back(state: ClusterState, ports: Iterable[int]) -> ClusterState:
    """Return the state with these ports released."""
    cluster = state.cluster
    pool = tuple(sorted({*cluster.tcpudp_port_pool, *ports}))
    if pool == cluster.tcpudp_port_pool:
        return state
    return state.put(replace(cluster, tcpudp_port_pool=pool))
