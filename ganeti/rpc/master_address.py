# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the address of the cluster, which is on a device of the master's host."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.rpc.call import URGENT, Call
from ganeti.schema.types import Line

BY_SCRIPT, BY_GANETI = "by-script", "by-ganeti"
"""The records of addresses that were configured without a lifetime, as ``ReleaseMasterAddress``: by
the administrator's script, and by Ganeti before the cluster was taken over from it."""


class HoldMasterAddress(Call[bool]):
    """Have the address on a device of this host, for ``lifetime`` seconds from now on.

    Its kernel removes it then, unless the call is repeated; so it goes even if all daemons of this
    host are gone. Return whether it is held: an address that this host has permanently is left to
    its administrator. With ``by_script``, the administrator's script configures and removes it.
    """

    wire = "master_address_hold"
    call_timeout = URGENT
    local_only = True

    address: Line
    netmask: Annotated[int, Meta(ge=1, le=128)]
    device: Line
    lifetime: Annotated[int, Meta(ge=1, le=60)]
    by_script: bool = False


class ReleaseMasterAddress(Call[None]):
    """Remove the address from the device now, unless this host has it permanently."""

    wire = "master_address_release"
    call_timeout = URGENT
    local_only = True

    address: Line
    netmask: Annotated[int, Meta(ge=1, le=128)]
    device: Line
    by_script: bool = False
