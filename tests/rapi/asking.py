# SPDX-License-Identifier: BSD-2-Clause
"""Sends requests through the real HTTP channel, without a socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport

from ganeti.errors import Code, GanetiError, Refused
from ganeti.luxi.caller import Caller
from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.authentication import Authenticator, MasterAccounts, UsersFile, UsersFileChecker
from ganeti.rapi.channel import Channel
from ganeti.rapi.console.console_visitors import CHECK_SECONDS, Visitor
from ganeti.rapi.console.relay import Connect, ConsoleRelay, no_consoles
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.site import ApiSite
from ganeti.testing.master import MemoryMaster

NOW = 1_700_000_000.0
WHEN = 1_700_000_000_000_000_000

USERS = """\
# name, password, options
jack {cleartext}abc123
rita xyz789 read
auto xyz789 write
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What an error says."""
        said = self.value
        assert said.keys() == {"code", "message", "explain"}, said
        assert said["code"] == self.status and said["explain"], said
        return str(said["message"])


def basic(user: str, password: str) -> str:
    """The header for a login."""
    coded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return f"Authorization: Basic {coded}\r\n"


AUTO = basic("auto", "xyz789")


async def at_once(check: Callable[[], bool]) -> bool:
    return check()


class MemoryConsoleRights:
    """Lets anybody use consoles until there is a ``refusal``; ``spent`` tickets are refused."""

    def __init__(self, clock: Clock) -> None:
        self.refusal: GanetiError | None = None
        self.spent: set[str] = set()
        self.watched: list[bool] = []
        """For each time that was asked whether a visitor may stay, whether it was active."""
        self._clock = clock

    async def redeem(self, node: str, ticket: str) -> Visitor:
        self._check()
        if ticket in self.spent:
            raise Refused("the ticket was used before", Code.STATE)
        self.spent.add(ticket)
        return Visitor(Caller(user="auto"), "auto", "uuid-of-web1")

    async def watch(self, visitor: Visitor, *, active: bool) -> None:
        self.watched.append(active)
        self._check()
        await deferLater(self._clock, CHECK_SECONDS)
        self._check()

    def _check(self) -> None:
        if self.refusal is not None:
            raise self.refusal


class NodeClient:
    """A server with users, and whatever is sent to it.

    ``connect`` connects to nodes for consoles.
    """

    def __init__(
        self,
        master: MemoryMaster,
        users: str,
        *,
        login_always: bool = False,
        connect: Connect | None = None,
    ) -> None:
        with open(users, "w") as file:
            file.write(USERS)
        self.clock = Clock()
        self.users = UsersFile(users, self.clock.seconds)
        self.checker = UsersFileChecker(self.users, at_once, MasterAccounts(master))
        authenticator = Authenticator(
            self.users, self.checker, self.clock.seconds, login_always=login_always
        )
        self.events = EventHub(master, self.clock)
        self.rights = MemoryConsoleRights(self.clock)
        consoles = no_consoles()
        if connect is not None:
            consoles = ConsoleRelay(connect, self.rights, self.clock)
        api = Api(master, authenticator, lambda: NOW, self.events, ApiMetrics(), consoles=consoles)
        self.site = ApiSite(resource_tree(ROUTES, api), self.clock)

    def connect(self) -> tuple[Channel, StringTransport]:
        """A client's connection."""
        connection = self.site.buildProtocol(None)
        transport = StringTransport()
        connection.makeConnection(transport)
        return connection, transport

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: str = AUTO, raw: bytes = b""
    ) -> Answer:
        """Send one request, with ``body`` as JSON if there is one."""
        connection, transport = self.connect()
        content = raw or (b"" if body is None else json.dumps(body).encode())
        if content and "content-type" not in headers.lower():
            headers += "Content-Type: application/json\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}"
        connection.dataReceived(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        (answer,) = answers(transport.value(), method)
        return answer


def answers(data: bytes, method: str = "GET") -> list[Answer]:
    """The answers in what was sent."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if method == "HEAD" else int(headers.get("Content-Length", 0))
        assert len(data) >= length, f"{len(data)} bytes of {length}"
        found.append(Answer(int(start.split()[1]), headers, data[:length]))
        data = data[length:]
    return found
