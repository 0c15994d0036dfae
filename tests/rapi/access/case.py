# SPDX-License-Identifier: BSD-2-Clause
"""The remote API before a whole master with two teams, through the real HTTP channel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from ganeti.access.passwords import hashed
from ganeti.config.changes.access import update_user
from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Request
from ganeti.luxi.server import LuxiMethods
from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.authentication import Authenticator, MasterAccounts, UsersFile, UsersFileChecker
from ganeti.rapi.channel import Channel
from ganeti.rapi.costly_queries import QueryLimit
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.site import ApiSite
from ganeti.rapi.verbs import Services
from tests.master.access.case import SECRET, AccessCase
from tests.rapi.asking import USERS, Answer, answers, at_once, basic

R = TypeVar("R")

PASSWORD = "correct horse"
HASH = hashed(PASSWORD, b"0" * 16)


@implementer(IMaster)
class WireMaster:
    """A master as it is reached over its socket, but for the socket."""

    def __init__(self, methods: Callable[[], LuxiMethods], clock: IReactorTime) -> None:
        self._methods = methods
        self._clock = clock

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = framing.decoded(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[Any], caller: Caller | None = None) -> msgspec.Raw:
        message = framing.request(request.named(), request, caller)
        await deferLater(self._clock, 0)  # as it takes another turn over a socket
        answered = await self._methods().answer_message(message[:-1])
        return framing.result_of(answered[:-1])


async def _hash_password(password: str, source: str) -> str:
    return hashed(password, b"1" * 16)


class SecuredCase(AccessCase):
    """As :class:`AccessCase`; users have the password ``PASSWORD``, the users file is that of
    other tests. ``ask`` sends requests, as ``user`` if there is one.
    """

    proxies: frozenset[str] = frozenset()

    def setUp(self) -> None:
        super().setUp()
        self.drawn = 0
        self.change(
            lambda state: [
                state := update_user(name, password=HASH)(state) for name in state.users
            ][-1]
        )
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(USERS)
        clock = self.cluster.clock
        self.users = UsersFile(path, clock.seconds)
        self.wire = WireMaster(lambda: self.methods, clock)
        checker = UsersFileChecker(self.users, at_once, MasterAccounts(self.wire))
        self.hub = EventHub(self.wire, clock)
        self.api = Api(
            QueryLimit(self.wire),
            Authenticator(self.users, checker, clock.seconds),
            clock.seconds,
            self.hub,
            ApiMetrics(),
            self.services(),
            self.proxies,
        )
        self.site = ApiSite(resource_tree(ROUTES, self.api), clock)
        self.addCleanup(self.hub.stop)
        self.addCleanup(self.api.streams.stop)

    def services(self) -> Services:
        return Services(self.random, _hash_password)

    def random(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def connect(self) -> tuple[Channel, StringTransport]:
        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "",
        token: str = "",
        headers: str = "",
    ) -> Answer:
        """Send one request and wait for its answer."""
        channel, transport = self.connect()
        if user:
            headers += basic(user, PASSWORD)
        if token:
            headers += bearer(token)
        content = b"" if body is None else json.dumps(body).encode()
        if content:
            headers += "Content-Type: application/json\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}"
        channel.dataReceived(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        until = self.cluster.clock.seconds() + 100
        while not transport.value() and self.cluster.clock.seconds() < until:
            self.cluster.pass_time(0.05)
        (answer,) = answers(transport.value(), method)
        return answer


def bearer(token_id: str, secret: str = SECRET) -> str:
    """The header of a token."""
    return f"Authorization: Bearer gnt_{token_id}_{secret}\r\n"
