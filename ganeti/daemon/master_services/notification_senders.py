# SPDX-License-Identifier: BSD-2-Clause
"""Requests to webhooks by the agent of ``twisted.web``, and mail by the ``sendmail`` program."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web._newclient import RequestTransmissionFailed  # public nowhere else
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestGenerationFailed,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from ganeti.daemon.connections.request_timeout import limit_time
from ganeti.errors import Failed
from ganeti.master.notifications.senders import WebhookRequest
from ganeti.rpc.agent import RequestBody, read_body
from ganeti.rpc.node_client import TransportError
from ganeti.system.interfaces import IProcesses

CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 15.0
"""Seconds from the start of a connection to the end of the answer."""

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read; nothing of it is used but its status."""

MAIL_TIMEOUT = 60.0
MAX_CLIENTS = 100
IDLE_TIMEOUT = 30
MAX_REASON = 200

PEM_END = "-----END CERTIFICATE-----"


class NotificationSenders:
    """An implementation of ``Senders``; ``sendmail`` is the path of the mail program."""

    def __init__(
        self,
        reactor: Any,
        processes: IProcesses,
        sendmail: str,
        *,
        clock: IReactorTime | None = None,
    ) -> None:
        """``clock`` measures the time that a request may take, by default that of the reactor."""
        self._reactor = reactor
        self._processes = processes
        self._sendmail = sendmail
        self._clock: IReactorTime = clock or reactor
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def post(self, request: WebhookRequest) -> int:
        exchange = Deferred.fromCoroutine(self._exchange(request))
        try:
            return await limit_time(exchange, REQUEST_TIMEOUT, self._clock)
        except GivenUp:
            raise Failed(f"the receiver did not answer within {REQUEST_TIMEOUT:g} s") from None
        except (ConnectError, DNSLookupError) as e:
            raise Failed(explain(Failure(e))) from None

    async def mail(self, message: bytes) -> None:
        # -t reads the recipients from the header; with -i a line with a single dot is text.
        result = await self._processes.run(
            [self._sendmail, "-t", "-i"], stdin=message, timeout=MAIL_TIMEOUT
        )
        if result.code != 0:
            said = (result.err or result.out).decode("utf-8", "replace")
            raise Failed(_one_line(f"{self._sendmail} ended with exit code {result.code}: {said}"))

    async def _exchange(self, request: WebhookRequest) -> int:
        headers = Headers({name: [value] for name, value in request.headers.items()})
        url, body = request.url.encode("ascii"), RequestBody(request.body)
        try:
            agent = self._client(request.authority).agent
            response = await agent.request(b"POST", url, headers, body)
            # The status is all that is needed; the rest is read so that the connection can be used
            # again.
            with suppress(TransportError, PotentialDataLoss):
                await read_body(response, MAX_ANSWER)
        except ConnectingCancelledError:
            raise CancelledError from None
        except (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as e:
            if e.reasons[0].check(CancelledError):
                raise CancelledError from None
            raise Failed(explain(e.reasons[0])) from None
        return int(response.code)

    def close(self) -> Deferred[Any]:
        """Close the idle connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        return gatherResults([each.pool.closeCachedConnections() for each in clients])

    def _client(self, authority: str) -> _Client:
        """Return the client for webhooks with this authority.

        Each has connections of its own: one that was verified with other certificates must not be
        used.
        """
        # It is added again, so that the first one is always that which was used least recently.
        client = self._clients.pop(authority, None) or self._make_client(authority)
        self._clients[authority] = client
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)[1].pool.closeCachedConnections()
        return client

    def _make_client(self, authority: str) -> _Client:
        policy = BrowserLikePolicyForHTTPS()
        if authority:
            policy = BrowserLikePolicyForHTTPS(
                trustRootFromCertificates(read_certificates(authority))
            )
        pool = HTTPConnectionPool(self._reactor)
        # The delivery retries, with a new timestamp.
        pool.retryAutomatically = False
        pool.maxPersistentPerHost = 1
        pool.cachedConnectionTimeout = IDLE_TIMEOUT
        agent = Agent(self._reactor, policy, connectTimeout=CONNECT_TIMEOUT, pool=pool)
        return _Client(agent, pool)


@dataclass(frozen=True)
class _Client:
    """An HTTP client, and its persistent connections."""

    agent: Agent
    pool: HTTPConnectionPool


def read_certificates(pem: str) -> list[Certificate]:
    """Return the certificates in PEM text.

    :raises Failed: one of them is malformed.
    """
    parts = [part + PEM_END for part in pem.split(PEM_END)[:-1]]
    try:
        return [Certificate.loadPEM(part.encode()) for part in parts]
    except (crypto.Error, ValueError):
        raise Failed("the CA certificates cannot be read; replace them") from None


def explain(reason: Failure, server: str = "the receiver") -> str:
    """Return in one line why there is no answer, without the URL, which may be confidential."""
    why = reason.value
    if isinstance(why, DNSLookupError):
        return f"the host name of {server} does not resolve"
    if isinstance(why, error.TimeoutError):
        return "the connection timed out"
    if isinstance(why, error.ConnectionRefusedError):
        return "connection refused"
    if reason.check(VerificationError, CertificateError):
        return f"the certificate of {server} is for another host name"
    if isinstance(why, SSL.Error):
        return _explain_tls(why, server)
    return _one_line(reason.getErrorMessage().rstrip("."))


def _explain_tls(why: SSL.Error, server: str) -> str:
    # A list of errors, each with the names of a library, a function and a reason.
    errors = why.args[0] if why.args else ()
    name = str(errors[0][-1] if errors and isinstance(errors, list) else why)
    if "certificate verify failed" in name.lower():
        return f"the certificate of {server} is not valid, or its issuer is not trusted"
    return _one_line(f"TLS failed: {name}")


def _one_line(text: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:MAX_REASON]
