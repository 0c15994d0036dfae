# SPDX-License-Identifier: BSD-2-Clause
"""Asking a node daemon, for callers that block."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from ganeti.errors import Code, Failed, GanetiError, ProtocolError, from_wire
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.http import Broken, MessageReader, answered, explanation, request
from ganeti.rpc.wire import request_of, result_of

R = TypeVar("R")

PATIENCE = 10.0
_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True)
class Door:
    """Where a node daemon listens."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.address} port {self.port})"

    def ask(
        self,
        context: ssl.SSLContext,
        call: str,
        body: bytes,
        headers: str = "",
        *,
        patience: float = PATIENCE,
    ) -> bytes:
        """The body of the answer; ``headers`` are whole lines.

        :raises Failed: the node could not be asked.
        :raises ProtocolError: it answers nonsense.
        """
        headers += "Connection: close\r\n"
        try:
            with (
                socket.create_connection((self.address, self.port), timeout=PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname=self.name) as connection,
            ):
                connection.settimeout(patience)
                connection.sendall(request(call, self.name, headers, body))
                return self._receive(connection)
        except OSError as e:
            raise Failed(
                f"{self} cannot be asked: {e}; does its node daemon run, and can this host"
                " reach it?",
                Code.ENVIRONMENT,
            ) from None

    def _receive(self, connection: ssl.SSLSocket) -> bytes:
        reader = MessageReader(body_limit=_ANSWER_LIMIT)
        try:
            while data := connection.recv(65536):
                for message in reader.receive(data):
                    if (status := answered(message)) != 200:
                        raise ProtocolError(f"{self} answers {status}: {explanation(message)}")
                    return message.body
        except Broken as e:
            raise ProtocolError(f"{self} answers nonsense: {e}") from None
        raise ProtocolError(f"{self} closed the connection without an answer")


class Peers:
    """The node daemons of this node's cluster, asked with this node's certificate."""

    def __init__(self, paths: Paths, doors: Sequence[Door]) -> None:
        """:raises OSError: the node has no certificate that can be used."""
        self.doors = {door.name: door for door in doors}
        self._context = ssl.create_default_context(cafile=paths.authority)
        self._context.load_cert_chain(paths.node_certificate)

    def ask(self, name: str, call: Call[R], term: int, *, patience: float = PATIENCE) -> R:
        """A node's answer to the master of a term.

        :raises GanetiError: it could not be asked, or says why it did not do it.
        """
        asked = request_of(call, term)
        header = f"X-Ganeti-Term: {term}\r\n"
        door = self.doors[name]
        body = door.ask(self._context, asked.name, asked.body, header, patience=patience)
        return result_of(call, body)

    def ask_all(self, calls: Mapping[str, tuple[Call[R], int]]) -> dict[str, R | GanetiError]:
        """What nodes answer, each to a call and a term, all at once; with what went wrong."""

        def one(name: str) -> R | GanetiError:
            try:
                return self.ask(name, *calls[name])
            except GanetiError as e:
                return e

        with ThreadPoolExecutor(max_workers=min(32, len(calls) or 1)) as pool:
            return dict(zip(calls, pool.map(one, calls), strict=True))


def answer_of(body: bytes, door: Door) -> Any:
    """What a call answers to a stranger.

    :raises GanetiError: the error that it answers with.
    """
    try:
        match msgspec.json.decode(body):
            case [True, result]:
                return result
            case [False, error]:
                raise from_wire(error)
    except msgspec.DecodeError as e:
        raise ProtocolError(f"{door} answers nonsense: {e}") from None
    raise ProtocolError(f"{door} gave no answer that makes sense")
