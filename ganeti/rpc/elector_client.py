# SPDX-License-Identifier: BSD-2-Clause
"""The client by which a node asks others to extend the lease of its guests."""

from __future__ import annotations

from ganeti.errors import ProtocolError, Unreachable
from ganeti.model.node import Node
from ganeti.rpc.guest_lease import Elector, ExtendGuestLease
from ganeti.rpc.node_client import Transport, TransportError
from ganeti.rpc.wire import encode_request, result_of


class ElectorClient:
    """Asks electors over a transport; the caller limits the time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def __call__(self, elector: Elector, call: ExtendGuestLease) -> bool:
        """Return whether the elector extends the lease.

        :raises GanetiError: there is no answer, or it is an error.
        """
        try:
            answer = await self._transport.exchange(_as_node(elector), encode_request(call, 0))
            return result_of(call, answer)
        except (TransportError, ProtocolError) as e:
            raise Unreachable(elector.name, str(e)) from None


def _as_node(elector: Elector) -> Node:
    """Return the record that a transport needs; it reads the name and the address only."""
    return Node(
        uuid=elector.name,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=(),
        name=elector.name,
        primary_ip=elector.address,
        secondary_ip=elector.address,
        master_candidate=False,
        offline=False,
        drained=False,
        group="",
        master_capable=False,
        vm_capable=False,
        ndparams={},
        powered=True,
    )
