# SPDX-License-Identifier: BSD-2-Clause
"""Requests of the remote API to other servers, within bounds of time and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    PartialDownloadError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from ganeti.daemon.connections.request_timeout import limit_time
from ganeti.daemon.master_services.notification_senders import explain
from ganeti.daemon.process.reactor import Reactor
from ganeti.rapi.openid import Fetch
from ganeti.rapi.problems import HttpProblem

SECONDS = 10.0
MAX_BYTES = 1024 * 1024


class _Collector(Protocol):
    """Collects a body, as far as it is not too long."""

    def __init__(self) -> None:
        self.body: Deferred[bytes] = Deferred(lambda _: self._close())
        """The whole body; cancelling closes the connection."""
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MAX_BYTES:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.body.called:
            return
        if len(self._received) > MAX_BYTES:
            self.body.errback(ValueError("the answer is too long"))
        # The latter: a body of unknown length ends with the connection (RFC 9112 section 6.3).
        elif reason.check(ResponseDone, PotentialDataLoss):
            self.body.callback(self._received)
        else:
            self.body.errback(ValueError("the answer is cut off"))

    def _close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


def fetcher(
    reactor: Reactor, server: str, authorities: Sequence[Certificate] | None = None
) -> Fetch:
    """Return what sends requests to a server, which messages call ``server``.

    Certificates are checked by the given authorities, or else by those of the host.
    """
    policy = BrowserLikePolicyForHTTPS()
    if authorities is not None:
        policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))
    agent = Agent(reactor, policy, connectTimeout=SECONDS)

    async def exchange(
        method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        sent = Headers({name.encode(): [value.encode()] for name, value in headers.items()})
        producer = FileBodyProducer(BytesIO(body)) if body else None
        response = await agent.request(method.encode(), address.encode(), sent, producer)
        collector = _Collector()
        response.deliverBody(collector)
        return int(response.code), await collector.body

    async def fetch(
        method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        asking = Deferred.fromCoroutine(exchange(method, address, headers, body))
        try:
            return await limit_time(asking, SECONDS, reactor)
        except GivenUp:
            why = f"nothing within {SECONDS:g} s"
        except (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as e:
            why = explain(e.reasons[0], server)
        except (ConnectError, DNSLookupError, PartialDownloadError, ValueError) as e:
            why = explain(Failure(e), server)
        raise HttpProblem(HTTPStatus.BAD_GATEWAY, f"{server} does not answer: {why}")

    return fetch
