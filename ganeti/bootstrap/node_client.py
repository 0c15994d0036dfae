# SPDX-License-Identifier: BSD-2-Clause
"""Calls to node daemons for blocking callers, with the HTTP client of the standard library."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import TypeVar

import msgspec

from ganeti.errors import Code, Failed, GanetiError, ProtocolError, from_wire
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.protocol_version import OWN, PROTOCOL_HEADER
from ganeti.rpc.wire import encode_request, result_of
from ganeti.schema.documents import UNREADABLE

R = TypeVar("R")

CONNECT_TIMEOUT = TIMEOUT = 10.0
"""Seconds."""

_MAX_ANSWER_SIZE = 1 << 20


@dataclass(frozen=True)
class NodeEndpoint:
    """The address of a node daemon."""

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
        """Make a call and return the body of the answer.

        :raises Failed: the node could not be reached.
        :raises ProtocolError: the answer is malformed.
        """
        sent = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
        connection = _Connection(self, context, timeout)
        try:
            connection.request("POST", f"/{call}", body, sent)
            with connection.getresponse() as response:
                answer = response.read(_MAX_ANSWER_SIZE + 1)
                # ``http.client`` does not report a body that is cut off if it is read up to a size.
                missing = response.length
        except HTTPException as e:
            raise malformed(self, f"{type(e).__name__} {e}") from None
        except OSError as e:
            raise Failed(
                f"{self} is unreachable: {e}; check that its node daemon is running and that this"
                " host can connect to it",
                Code.ENVIRONMENT,
            ) from None
        finally:
            connection.close()
        if len(answer) > _MAX_ANSWER_SIZE:
            raise ProtocolError(f"the answer of {self} has more than {_MAX_ANSWER_SIZE} bytes")
        if missing:
            raise ProtocolError(f"{self} closed the connection in the middle of its answer")
        if response.status != 200:
            raise ProtocolError(
                f"{self} answered with HTTP status {response.status}: "
                f"{_extract_explanation(answer)}"
            )
        return answer


class _Connection(HTTPSConnection):
    """Connects to a node's address, and verifies its certificate against its name."""

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
    """The node daemons of this cluster, called with this node's certificate."""

    def __init__(self, paths: Paths, nodes: Sequence[NodeEndpoint]) -> None:
        """Load the certificate of this node.

        :raises OSError: it does not exist or is unusable.
        """
        self.nodes = {node.name: node for node in nodes}
        self._context = ssl.create_default_context(cafile=paths.authority)
        self._context.load_cert_chain(paths.node_certificate)

    def ask(self, name: str, call: Call[R], term: int, *, timeout: float = TIMEOUT) -> R:
        """Make a call in the name of the master of ``term``, and return the answer.

        :raises GanetiError: the node could not be reached, or has answered with an error.
        """
        request = encode_request(call, term)
        headers = {"X-Ganeti-Term": str(term), PROTOCOL_HEADER: str(OWN)}
        node = self.nodes[name]
        body = node.ask(self._context, request.name, request.body, headers, timeout=timeout)
        return result_of(call, body)

    def ask_all(self, calls: Mapping[str, tuple[Call[R], int]]) -> dict[str, R | GanetiError]:
        """Make calls concurrently, each with its term; return answers and errors by node."""

        def one(name: str) -> R | GanetiError:
            try:
                return self.ask(name, *calls[name])
            except GanetiError as e:
                return e

        with ThreadPoolExecutor(max_workers=min(32, len(calls) or 1)) as pool:
            return dict(zip(calls, pool.map(one, calls), strict=True))


def decode_answer(body: bytes, node: NodeEndpoint) -> object:
    """Return the answer to a call that was made without a certificate.

    :raises GanetiError: the error in the answer.
    """
    try:
        match msgspec.json.decode(body):
            case [True, result]:
                return result
            case [False, error]:
                raise from_wire(error)
    except UNREADABLE as e:
        raise malformed(node, str(e)) from None
    raise malformed(node, "unexpected JSON value")


def malformed(node: NodeEndpoint, why: str) -> ProtocolError:
    """Return the error for an answer that cannot be understood."""
    return ProtocolError(f"{node} sent a malformed answer: {why}")


def _extract_explanation(body: bytes) -> str:
    """Return the explanation in an HTTP error response."""
    try:
        return str(msgspec.json.decode(body)["explain"])
    except (*UNREADABLE, TypeError, KeyError):
        return "no explanation given"
