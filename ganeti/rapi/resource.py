# SPDX-License-Identifier: BSD-2-Clause
"""The tree of resources, built from the declared routes."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from ganeti.errors import AccessDenied, GanetiError, Invalid
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.interfaces import IMaster
from ganeti.metrics.exposition import CONTENT_TYPE
from ganeti.rapi.admission import Admission, client_address, credentials_of
from ganeti.rapi.api_metrics import ApiMetrics, MasterFamilies
from ganeti.rapi.authentication import AccessLevel, Authenticator
from ganeti.rapi.console.relay import ConsoleRelay, no_consoles
from ganeti.rapi.error_page import accepts_page, error_page
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.events.limited import LimitedHubs
from ganeti.rapi.events.server_sent import ServerSentEvents
from ganeti.rapi.events.stream import EventStream, Form
from ganeti.rapi.events.web_socket import WebSocketMessages, is_upgrade
from ganeti.rapi.list_pages import ListPages
from ganeti.rapi.on_behalf import OnBehalf
from ganeti.rapi.problems import HttpProblem, answer_to, answer_to_client, status_of
from ganeti.rapi.request_arguments import parse_body, parse_query, parse_tags
from ganeti.rapi.response import Response, send
from ganeti.rapi.routes.route import MAX_NUMBERS, Route
from ganeti.rapi.site import ApiRequest
from ganeti.rapi.upload_verbs import receives_image, uploads_of
from ganeti.rapi.verbs import (
    NO_SERVICES,
    Admitted,
    ApiCall,
    ConsoleVisit,
    Services,
    Subscription,
    Verb,
    WithHeaders,
)

_encode = msgspec.json.Encoder().encode

Confirm: TypeAlias = Callable[[], Coroutine[Deferred[object], object, Admitted]]
"""Tells who sends a request, as things are now; raises ``GanetiError`` if it may not any more."""


@dataclass(frozen=True)
class Api:
    """The services that all resources share; ``now`` returns seconds since the epoch."""

    master: IMaster
    authenticator: Authenticator
    now: Callable[[], float]
    events: EventHub
    metrics: ApiMetrics
    services: Services = NO_SERVICES
    proxies: frozenset[str] = frozenset()
    """Addresses of proxies that say whom they ask for."""
    consoles: ConsoleRelay = field(default_factory=no_consoles)

    @cached_property
    def admission(self) -> Admission:
        return Admission(self.authenticator, self.master)

    @cached_property
    def streams(self) -> LimitedHubs:
        """The events of callers that do not see all of them."""
        return LimitedHubs(self.master, self.events)


def resource_tree(routes: Iterable[Route], api: Api) -> RouteResource:
    """Build the tree of resources for ``routes``; return its root."""
    root = RouteResource(api)
    for route in routes:
        resource = root
        for segment in route.segments:
            resource = resource.grow(segment)
        if resource.route is not None:
            raise ValueError(f"{route.path} is declared twice")
        resource.route = route
    return root


class RouteResource(Resource):
    """A node of the tree; it answers all methods of its route, if a route ends here."""

    _log = Logger()

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.route: Route | None = None
        self._api = api
        self._variable: RouteResource | None = None

    def grow(self, segment: str) -> RouteResource:
        """Return the child for a segment of a declared path, adding it if necessary."""
        if segment.startswith("{"):
            self._variable = self._variable or RouteResource(self._api)
            return self._variable
        name = segment.encode("ascii")
        child = self.children.get(name)
        if child is None:
            child = RouteResource(self._api)
            self.putChild(name, child)
        assert isinstance(child, RouteResource)
        return child

    def getChild(self, name: bytes, request: ApiRequest) -> IResource:
        """Return the child for a segment that is a variable, or a resource that answers an
        error."""
        if self._variable is None or not name:
            return Refusal(not_found(request))
        try:
            request.variables.append(name.decode("utf-8"))
        except UnicodeDecodeError:
            return Refusal(Invalid("the path is not valid UTF-8"))
        return self._variable

    def streams(self, method: bytes, path: bytes) -> bool:
        """Return whether the body of a request is received as it arrives, however long it is."""
        found = self._find_verb(method, path)
        return found is not None and isinstance(found[2], receives_image)

    def _find_verb(
        self, method: bytes, path: bytes
    ) -> tuple[Route, Mapping[str, str], Verb] | None:
        segments = [unquote_to_bytes(each) for each in path.partition(b"?")[0].split(b"/")[1:]]
        route = self.find_route(segments)
        verb = None if route is None else route.verbs.get(method.decode("latin-1"))
        if verb is None or route is None:
            return None
        pairs = zip(route.segments, segments, strict=True)
        variables = {
            declared[1:-1]: given.decode("utf-8", "replace")
            for declared, given in pairs
            if declared.startswith("{")
        }
        return route, variables, verb

    def find_route(self, segments: Sequence[bytes]) -> Route | None:
        """Return the route at the end of a path, if there is one."""
        resource: RouteResource | None = self
        for segment in segments:
            assert resource is not None
            child = resource.children.get(segment)
            resource = child if child is not None else resource._variable if segment else None
            if resource is None:
                return None
        return resource.route if resource is not None else None

    async def admit(self, request: ApiRequest, method: bytes, path: bytes) -> None:
        """Find out by the head of a request whether its sender may send it.

        :raises GanetiError: not so; its body is of no interest.
        """
        found = self._find_verb(method, path)
        if found is None:
            return  # which is told when the request has arrived
        route, variables, verb = found
        try:
            where = path.partition(b"?")[0]
            request.admitted = await self._confirm(request, verb, method.decode("ascii"), where)()
            if isinstance(verb, receives_image):
                await self._begin_upload(request, variables[verb.variable])
        except GanetiError as e:
            self._api.metrics.answered(route.path, method.decode("ascii"), int(status_of(e)), 0.0)
            raise

    async def _begin_upload(self, request: ApiRequest, name: str) -> None:
        assert request.channel is not None
        uploads = uploads_of(self._api.services)
        content_range = request.getHeader(b"content-range")
        upload = await uploads.begin_upload(
            name,
            request.channel.length,
            None if content_range is None else content_range.decode("latin-1").strip(),
        )
        request.receive_body(upload)

    def _confirm(self, request: ApiRequest, verb: Verb, method: str, path: bytes) -> Confirm:
        """Return what tells who sends a request, as often as it is called."""
        host = getattr(request.getClientAddress(), "host", "") or ""
        source = client_address(host, request.requestHeaders, self._api.proxies)
        shown = credentials_of(request.requestHeaders, source, path.decode("latin-1"))
        return partial(self._api.admission.admit, verb, method, shown)

    def render(self, request: ApiRequest) -> int:
        """Start to answer; if the client disconnects, the work for the answer is canceled."""
        answering = Deferred.fromCoroutine(self._respond(request))
        # Otherwise the request has been answered already.
        if not answering.called:
            request.notifyFinish().addErrback(lambda _: answering.cancel())
        return NOT_DONE_YET

    async def _respond(self, request: ApiRequest) -> None:
        assert request.channel is not None
        clock = request.channel.site.clock
        begun = clock.seconds()
        try:
            response = await self._dispatch(request)
        except GanetiError as e:
            response = self._report(request, e)
        except CancelledError:
            if request.channel is None:
                return  # the client has disconnected
            request.processingFailed(Failure())
            return
        except Exception:
            request.processingFailed(Failure())
            return
        resource = "none" if self.route is None else self.route.path
        method = request.method.decode("latin-1")
        status = HTTPStatus.OK if response is None else response.status
        self._api.metrics.answered(resource, method, int(status), clock.seconds() - begun)
        if response is not None:
            send(request, response)

    def _report(self, request: ApiRequest, error: GanetiError) -> Response:
        """Return the answer that reports an error, to a program or a person."""
        verbs = {} if self.route is None else self.route.verbs
        page = getattr(verbs.get(request.method.decode("latin-1")), "error_page", None)
        if page is not None and accepts_page(request.requestHeaders):
            return error_page(error, page.title, page.links)
        return answer_to_client(request.requestHeaders, error)

    async def _dispatch(self, request: ApiRequest) -> Response | None:
        """Return the response, or None if an open-ended answer has been started."""
        route, path = self._match(request)
        method = request.method.decode("ascii")
        if method == "OPTIONS":
            return Response(HTTPStatus.NO_CONTENT, headers=(("Allow", route.allowed),))
        verb = _select_verb(method, route)
        confirm = self._confirm(request, verb, method, request.path)
        # The head of a request with a body was checked when it arrived.
        admitted = request.admitted or await confirm()
        result = await verb(self._build_call(request, route, path, admitted))
        if isinstance(result, Subscription):
            await self._stream(request, result, confirm, admitted)
            return None
        if isinstance(result, ConsoleVisit):
            await self._api.consoles.visit(request, result.ticket)
            return None
        if isinstance(result, MasterFamilies):
            text = self._api.metrics.text(result, self._api.events)
            return Response(HTTPStatus.OK, text, content_type=CONTENT_TYPE.encode("ascii"))
        headers: tuple[tuple[str, str], ...] = ()
        status = HTTPStatus.OK
        if isinstance(result, WithHeaders):
            headers, status = result.headers, result.status
            result = result.value
        if verb.access in (AccessLevel.WRITE, AccessLevel.ADMIN):
            # A confidential result must not be in the log.
            self._log.info(
                "{user}: {method} {path}: {result}",
                user=admitted.user,
                method=method,
                path=request.path.decode("latin-1"),
                result="done" if getattr(verb, "confidential", False) else result,
            )
        if isinstance(result, ListPages):
            return Response(status, headers=headers, pages=result)
        return Response(status, _encode_result(result), headers)

    async def _stream(
        self, request: ApiRequest, wanted: Subscription, confirm: Confirm, admitted: Admitted
    ) -> None:
        """Begin to send events; a client that connects again says itself where to go on."""
        last = (request.getHeader(b"last-event-id") or b"").decode("latin-1").strip()
        since = StreamPosition.parse(last) if last else wanted.since
        form: Form
        if is_upgrade(request):
            form = WebSocketMessages(request)
        elif request.method == b"HEAD":
            ServerSentEvents(request).send_head()
            return
        else:
            form = ServerSentEvents(request)
        events = self._api.streams.hub(admitted)

        async def still() -> None:
            now = await confirm()
            # The reader of events was chosen by the role at the start.
            if now.limited != admitted.limited:
                raise AccessDenied("the role has changed; connect again")

        stream = EventStream(request, form, events, wanted.selection, still)
        await events.subscribe(stream, since)

    def _match(self, request: ApiRequest) -> tuple[Route, Mapping[str, str]]:
        if self.route is None:
            raise not_found(request)
        path = dict(zip(self.route.variables, request.variables, strict=True))
        for name in path.keys() & MAX_NUMBERS.keys():
            if _parse_number(path[name]) > MAX_NUMBERS[name]:
                raise not_found(request)
        return self.route, path

    def _build_call(
        self, request: ApiRequest, route: Route, path: Mapping[str, str], admitted: Admitted
    ) -> ApiCall:
        query = request.uri.partition(b"?")[2]
        content = request.content.getvalue() if request.content is not None else b""
        return ApiCall(
            OnBehalf(self._api.master, admitted.caller),
            path,
            parse_query(query.decode("latin-1")),
            parse_body(content, (request.getHeader(b"content-type") or b"").decode("latin-1")),
            route.source,
            self._api.now(),
            admitted,
            self._api.services,
            tuple(request.requestHeaders.getRawHeaders(b"cookie") or ()),
            parse_tags(request.requestHeaders.getRawHeaders(b"if-none-match") or ()),
            request.upload,
        )


class Refusal(Resource):
    """A resource that answers every request with an error."""

    isLeaf = True

    def __init__(self, error: GanetiError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: ApiRequest) -> int:
        send(request, answer_to(self._error))
        return NOT_DONE_YET


def not_found(request: ApiRequest) -> HttpProblem:
    """Return the error for a path without a resource."""
    path = request.path.decode("latin-1")
    return HttpProblem(HTTPStatus.NOT_FOUND, f"unknown resource {path}; GET /2 lists the resources")


def _parse_number(text: str) -> float:
    """Parse digits; return infinity for text that is not a number, or a very long one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else math.inf


def _select_verb(method: str, route: Route) -> Verb:
    try:
        return route.verbs["GET" if method == "HEAD" else method]
    except KeyError:
        raise HttpProblem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"method {method} is not allowed for this resource; use {route.allowed}",
            (("Allow", route.allowed),),
        ) from None


def _encode_result(result: object) -> bytes | memoryview:
    # Results that the master has encoded may be large, so they are not copied.
    return memoryview(result) if isinstance(result, msgspec.Raw) else _encode(result)
