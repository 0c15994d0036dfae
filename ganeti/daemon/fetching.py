# SPDX-License-Identifier: BSD-2-Clause
"""Requests of the remote API to an OpenID provider, within bounds of time and size."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, PartialDownloadError, ResponseFailed
from twisted.web.http_headers import Headers

from ganeti.rapi.openid import Fetch
from ganeti.rapi.problems import HttpProblem

SECONDS = 10.0
MAX_BYTES = 1024 * 1024


class _Collector(Protocol):
    """Collects a body, as far as it is not too long."""

    def __init__(self, body: Deferred[bytes]) -> None:
        self._body = body
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MAX_BYTES and self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # of stream transports

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if len(self._received) > MAX_BYTES:
            self._body.errback(ValueError("the answer is too long"))
        else:
            self._body.callback(self._received)


def fetcher(reactor: Any) -> Fetch:
    """Return what sends requests; certificates are checked by the authorities of the host."""
    agent = Agent(reactor, connectTimeout=SECONDS)

    async def exchange(
        method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        sent = Headers({name.encode(): [value.encode()] for name, value in headers.items()})
        producer = FileBodyProducer(BytesIO(body)) if body else None
        response = await agent.request(method.encode(), address.encode(), sent, producer)
        received: Deferred[bytes] = Deferred()
        response.deliverBody(_Collector(received))
        return int(response.code), await received

    async def fetch(
        method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        asking = Deferred.fromCoroutine(exchange(method, address, headers, body))
        try:
            return await asking.addTimeout(SECONDS, reactor)
        except (GivenUp, ConnectError, ResponseFailed, PartialDownloadError, ValueError) as e:
            why = str(e) or type(e).__name__
            raise HttpProblem(
                HTTPStatus.BAD_GATEWAY, f"the OpenID provider does not answer: {why}"
            ) from None

    return fetch
