# SPDX-License-Identifier: BSD-2-Clause
"""The address of the cluster, which the master's host has as long as the master holds its lease."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.operations.cluster.address import find_address
from ganeti.operations.operation import AddressControl
from ganeti.rpc.call import Nodes
from ganeti.rpc.master_address import HoldMasterAddress, ReleaseMasterAddress

INTERVAL = 1.0
"""Seconds between two renewals."""

LIFETIME = 4
"""Seconds for which the host has the address after a renewal.

A successor is in charge a few seconds after the last renewal of the lease. It announces that it has
the address, so that a host which still has it for a moment gets no packets for it.
"""


class ClusterAddress(AddressControl):
    """Has the address while ``holds`` is true, unless it was deactivated.

    A deactivation lasts until the master daemon ends: its successor is to be reached.
    """

    _log = Logger()

    def __init__(
        self, nodes: Nodes, state: Callable[[], ClusterState], holds: Callable[[], bool]
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._holds = holds
        self._active = True
        self._held: ReleaseMasterAddress | None = None
        # A renewal that ends after a deactivation would bring the address back.
        self._lock = DeferredLock()

    async def renew(self) -> None:
        """Take the address, or hold it for longer.

        :raises Failed: the node of the master cannot configure it.
        """
        async with self._lock:
            await self._renew()

    async def activate_address(self) -> None:
        """Take the address from now on.

        :raises Failed: the node of the master cannot configure it; it is tried again.
        """
        async with self._lock:
            self._active = True
            await self._renew()

    async def deactivate_address(self) -> None:
        """Give the address up until it is activated again.

        :raises Failed: the node of the master cannot remove it.
        """
        async with self._lock:
            self._active = False
            held, self._held = self._held, None
            if held is not None:
                await self._nodes.ask(self._state().master, held)

    async def _renew(self) -> None:
        wanted = find_address(self._state()) if self._active else None
        if self._held is not None and self._held != wanted:
            await self._release()
        if wanted is None or not self._holds():
            return
        call = HoldMasterAddress(
            address=wanted.address,
            netmask=wanted.netmask,
            device=wanted.device,
            lifetime=LIFETIME,
            by_script=wanted.by_script,
        )
        if await self._nodes.ask(self._state().master, call):
            self._held = wanted

    async def release_address(self) -> None:
        """Give the address up now; without the lease, it goes when its time is over."""
        async with self._lock:
            await self._release()

    async def _release(self) -> None:
        held, self._held = self._held, None
        if held is None or not self._holds():
            return
        try:
            await self._nodes.ask(self._state().master, held)
        except Failed as e:
            self._log.warn("the cluster's address is given up only later: {why}", why=str(e))
