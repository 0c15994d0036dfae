# SPDX-License-Identifier: BSD-2-Clause
"""The address of the cluster, which the master's host has as long as the master holds its lease."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.rpc.call import Nodes
from ganeti.rpc.master_address import HoldMasterAddress, ReleaseMasterAddress

INTERVAL = 1.0
"""Seconds between two renewals."""

LIFETIME = 4
"""Seconds for which the host has the address after a renewal.

A successor is in charge a few seconds after the last renewal of the lease. It announces that it has
the address, so that a host which still has it for a moment gets no packets for it.
"""


class ClusterAddress:
    """Holds the address while ``holds`` is true.

    Addresses of nodes and of the loopback device, which trial clusters have, do not move.
    """

    _log = Logger()

    def __init__(
        self, nodes: Nodes, state: Callable[[], ClusterState], holds: Callable[[], bool]
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._holds = holds
        self._held: ReleaseMasterAddress | None = None

    async def renew(self) -> None:
        """Take the address, or hold it for longer.

        :raises Failed: the node of the master cannot configure it.
        """
        wanted = find_address(self._state())
        if self._held is not None and self._held != wanted:
            await self.release_address()
        if wanted is None or not self._holds():
            return
        call = HoldMasterAddress(
            address=wanted.address,
            netmask=wanted.netmask,
            device=wanted.device,
            lifetime=LIFETIME,
        )
        if await self._nodes.ask(self._state().master, call):
            self._held = wanted

    async def release_address(self) -> None:
        """Give the address up now; without the lease, it goes when its time is over."""
        held, self._held = self._held, None
        if held is None or not self._holds():
            return
        try:
            await self._nodes.ask(self._state().master, held)
        except Failed as e:
            self._log.warn("the cluster's address is given up only later: {why}", why=str(e))


def find_address(state: ClusterState) -> ReleaseMasterAddress | None:
    """Return the address to hold, with netmask and device; None if it does not move."""
    cluster = state.cluster
    used = {node.primary_ip for node in state.nodes.values()}
    used |= {node.secondary_ip for node in state.nodes.values()}
    if cluster.master_ip in used or ip_address(cluster.master_ip).is_loopback:
        return None
    return ReleaseMasterAddress(
        address=cluster.master_ip,
        netmask=cluster.master_netmask,
        device=cluster.master_netdev,
    )
