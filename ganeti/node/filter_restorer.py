# SPDX-License-Identifier: BSD-2-Clause
"""Restores packet filters and DHCP servers of running guests, which others can remove or end."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from ganeti.errors import GanetiError
from ganeti.hypervisor.interfaces import IHypervisor, IPacketFilters

INTERVAL = 15.0
"""Seconds between two looks, for which a guest may be without its filter."""


class FilterRestorer:
    """Looks at the filters and servers of all guests of this node from time to time."""

    _log = Logger()

    def __init__(self, hypervisors: Mapping[str, IHypervisor]) -> None:
        self._hypervisors = hypervisors

    async def restore(self) -> None:
        """Restore filters and servers that are missing; failures are logged."""
        for hypervisor in self._hypervisors.values():
            filters = IPacketFilters(hypervisor, None)
            if filters is None:
                continue
            try:
                # First, as a server brings its filter along.
                served = await filters.restore_servers()
                restored = await filters.restore_filters()
            except GanetiError as e:
                self._log.error(
                    "packet filters or DHCP servers of guests cannot be restored: {why}", why=str(e)
                )
                continue
            for name in served:
                self._log.warn(
                    "a DHCP server of instance {name} had ended; it is started again", name=name
                )
            for name in restored:
                self._log.warn(
                    "a packet filter of instance {name} was removed by another program, such as"
                    " nft flush ruleset; it is set again",
                    name=name,
                )
