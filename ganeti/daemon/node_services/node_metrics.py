# SPDX-License-Identifier: BSD-2-Clause
"""``/metrics`` of the node daemon: plain HTTP, by default on a loopback address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from ganeti.daemon.process.reactor import Reactor
from ganeti.metrics.exposition import CONTENT_TYPE, format_text
from ganeti.metrics.family import MetricFamily

LOOPBACK = "127.0.0.1"

TIMEOUT = 30
"""After how many seconds a connection without a request is closed."""

_log = Logger()

Collect = Callable[[], Awaitable[Iterable[MetricFamily]]]


class MetricsResource(Resource):
    """Answers GET with the metrics that ``collect`` returns."""

    isLeaf = True

    def __init__(self, collect: Collect) -> None:
        super().__init__()
        self._collect = collect

    def render_GET(self, request: Request) -> int:
        answering = Deferred.fromCoroutine(self._answer(request))
        answering.addErrback(self._failed, request)
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        text = format_text(await self._collect())
        request.setHeader(b"Content-Type", CONTENT_TYPE.encode("ascii"))
        request.write(text)
        request.finish()

    def _failed(self, failure: Failure, request: Request) -> None:
        if request.channel is None:
            return  # the client has disconnected
        _log.failure("collecting the metrics of this host failed", failure)
        request.setResponseCode(500)
        request.finish()


def metrics_site(collect: Collect, reactor: Reactor) -> Site:
    """Return a site whose only resource is ``/metrics``."""
    root = NoResource()
    root.putChild(b"metrics", MetricsResource(collect))
    site = Site(root, reactor=reactor, timeout=TIMEOUT)
    site.noisy = False
    return site


def default_address(address: str) -> str:
    """Return the default address: ``address`` of the node if that is loopback."""
    try:
        own = ip_address(address).is_loopback
    except ValueError:
        own = False
    return address if own else LOOPBACK


def serve_metrics(
    reactor: Reactor, address: str, port: int, collect: Collect
) -> IListeningPort | None:
    """Listen for Prometheus; return the port, or None if that fails.

    A failure is only logged, as the node daemon works without metrics.
    """
    try:
        site = metrics_site(collect, reactor)
        listening: IListeningPort = reactor.listenTCP(port, site, interface=address)
    except CannotListenError as e:
        _log.warn(
            "metrics are not served: cannot listen on {address} port {port}: {why}; choose"
            " another port with --metrics-port",
            address=address,
            port=port,
            why=str(e.socketError),
        )
        return None
    return listening
