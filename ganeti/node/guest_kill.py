# SPDX-License-Identifier: BSD-2-Clause
"""The end of everything that runs on a node whose guests have no lease any more."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from ganeti.errors import GanetiError
from ganeti.hypervisor.interfaces import IHypervisor

_log = Logger()


async def kill_guests(hypervisors: Mapping[str, IHypervisor]) -> bool:
    """Kill all guests, also those on their way to or from this node; return whether there were any.

    A guest that is awaited would run when it has arrived, without a further request. Whether all
    have ended, the next call tells; what prevents it is logged.
    """
    found = False
    for hypervisor in hypervisors.values():
        names = sorted(hypervisor.present())
        if not names:
            continue
        found = True
        for name in names:
            _log.error(
                "instance {name} is killed: the lease of this node's guests has ended", name=name
            )
        try:
            await hypervisor.kill(names)
        except GanetiError as e:
            _log.error("{why}", why=str(e))
    return found
