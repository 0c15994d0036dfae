# SPDX-License-Identifier: BSD-2-Clause
"""Calls to node daemons, for callers that block: over the standard library's HTTP client."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import Any, TypeVar

import msgspec

from ganeti.errors import Code, Failed, GanetiError, ProtocolError, from_wire
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.wire import request_of, result_of
from ganeti.schema.documents import UNREADABLE

R = TypeVar("R")

CONNECT_TIMEOUT = TIMEOUT = 10.0
"""Seconds."""

_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True)
class NodeEndpoint:
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
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """Return the body of the answer to a call.

        :raises Failed: the node could not be asked.
        :raises ProtocolError: it answers nonsense.
        """
        sent = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
        connection = _Connection(self, context, timeout)
        try:
            connection.request("POST", f"/{call}", body, sent)
            with connection.getresponse() as response:
                answer = response.read(_ANSWER_LIMIT + 1)
                missing = response.length
        except HTTPException as e:
            raise ProtocolError(f"{self} answers nonsense: {type(e).__name__} {e}") from None
        except OSError as e:
            raise Failed(
                f"{self} cannot be asked: {e}; does its node daemon run, and can this host"
                " reach it?",
                Code.ENVIRONMENT,
            ) from None
        finally:
            connection.close()
        if len(answer) > _ANSWER_LIMIT:
            raise ProtocolError(f"{self} answers with more than {_ANSWER_LIMIT} bytes")
        if missing:
            raise ProtocolError(f"{self} closed the connection in the middle of its answer")
        if response.status != 200:
            raise ProtocolError(f"{self} answers {response.status}: {_explanation(answer)}")
        return answer


class _Connection(HTTPSConnection):
    """Connects to a node's address, and has it prove its name."""

    def __init__(self, node: NodeEndpoint, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(node.name, node.port, context=context, timeout=timeout)
        self._address = node.address, node.port
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection(self._address, timeout=CONNECT_TIMEOUT)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
            self.sock.settimeout(self.timeout)
        except BaseException:
            plain.close()
            raise


class Peers:
    """The node daemons of this node's cluster, asked with this node's certificate."""

    def __init__(self, paths: Paths, nodes: Sequence[NodeEndpoint]) -> None:
        """:raises OSError: the node has no certificate that can be used."""
        self.nodes = {node.name: node for node in nodes}
        self._context = ssl.create_default_context(cafile=paths.authority)
        self._context.load_cert_chain(paths.node_certificate)

    def ask(self, name: str, call: Call[R], term: int, *, timeout: float = TIMEOUT) -> R:
        """Return a node's answer to the master of a term.

        :raises GanetiError: it could not be asked, or says why it did not do it.
        """
        request = request_of(call, term)
        headers = {"X-Ganeti-Term": str(term)}
        node = self.nodes[name]
        body = node.ask(self._context, request.name, request.body, headers, timeout=timeout)
        return result_of(call, body)

    def ask_all(self, calls: Mapping[str, tuple[Call[R], int]]) -> dict[str, R | GanetiError]:
        """Return what nodes answer, each to a call and a term, at once; with what went wrong."""

        def one(name: str) -> R | GanetiError:
            try:
                return self.ask(name, *calls[name])
            except GanetiError as e:
                return e

        with ThreadPoolExecutor(max_workers=min(32, len(calls) or 1)) as pool:
            return dict(zip(calls, pool.map(one, calls), strict=True))


def answer_of(body: bytes, node: NodeEndpoint) -> Any:
    """Return what a call answers to a caller without a certificate.

    :raises GanetiError: the error that it answers with.
    """
    try:
        match msgspec.json.decode(body):
            case [True, result]:
                return result
            case [False, error]:
                raise from_wire(error)
    except UNREADABLE as e:
        raise ProtocolError(f"{node} answers nonsense: {e}") from None
    raise ProtocolError(f"{node} gave no answer that makes sense")


def _explanation(body: bytes) -> str:
    """Return what an answer that is no success says about why."""
    try:
        return str(msgspec.json.decode(body)["explain"])
    except (*UNREADABLE, TypeError, KeyError):
        return "it does not say why"
