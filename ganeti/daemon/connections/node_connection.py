# SPDX-License-Identifier: BSD-2-Clause
"""Connections to node daemons that carry a protocol other than calls.

They are made with the certificate of this host, by which a node daemon knows its role.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from ganeti.daemon.connections.node_certificate import NodePolicy
from ganeti.daemon.process.reactor import Reactor
from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.rpc.agent import CONNECT_TIMEOUT, KeepAliveEndpoint
from ganeti.system.connection_errors import explain


def only(protocol: Protocol) -> Factory[Protocol]:
    """Return a factory of one protocol, which is there already; it logs nothing."""
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    return factory


async def connect_to_node(
    reactor: Reactor,
    paths: Paths,
    name: str,
    address: str,
    port: int,
    protocol: Protocol,
    *,
    timeout: float = CONNECT_TIMEOUT,
) -> None:
    """Connect a protocol to the daemon of the node ``name``, which must prove its name.

    :raises Failed: it cannot be reached, or this host has no usable certificate.
    """
    # Read now: the certificate may have been renewed since the daemon has started.
    policy = NodePolicy(paths)
    tcp = TCP4ClientEndpoint(reactor, address, port, timeout=timeout)
    creator = policy.creatorForNetloc(name.encode("ascii"), port)
    try:
        await wrapClientTLS(creator, KeepAliveEndpoint(tcp), reactor).connect(only(protocol))
    except ConnectingCancelledError:
        raise CancelledError from None
    except ConnectError as e:
        why = explain(Failure(e))
        raise Failed(f"node {name} cannot be reached: {why}", Code.ENVIRONMENT) from None
