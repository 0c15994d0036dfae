# SPDX-License-Identifier: BSD-2-Clause
"""Node daemons of a cluster on loopback addresses, which answer calls as a test wants."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.node_client import NodeEndpoint
from ganeti.errors import GanetiError
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.rpc.call import Call
from ganeti.rpc.wire import failure, success

Answers: TypeAlias = Mapping[str, Callable[[dict[str, Any]], Any]]
"""By the name of a call on the wire: makes the answer of its fields, or raises an error."""


class NodeDaemons:
    """The daemons of node1 at 127.0.0.1, of node2 at 127.0.0.2 and so on, all at the same port.

    Their certificates are of the authority of the cluster at ``paths``. ``asked`` are the names of
    nodes and calls in the order in which they come.
    """

    def __init__(self, test: SynchronousTestCase, paths: Paths) -> None:
        self._test = test
        self._paths = paths
        self._authority = Authority.loaded(
            Path(paths.authority).read_bytes(), Path(paths.authority_key).read_bytes()
        )
        self.port = 0
        self.asked: list[tuple[str, str]] = []
        self.endpoints: dict[str, NodeEndpoint] = {}

    def serve(self, name: str, answers: Answers) -> NodeEndpoint:
        """Let the daemon of a node run until the end of the test."""
        address = f"127.0.0.{name.removeprefix('node')}"
        pem = Path(self._test.mktemp())
        pem.write_bytes(self._authority.credentials([name, address], time.time()).pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server = ThreadingHTTPServer((address, self.port), self._handler(name, answers))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_port
        self._test.addCleanup(server.server_close)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self._test.addCleanup(thread.join)
        self._test.addCleanup(server.shutdown)
        self.endpoints[name] = NodeEndpoint(name, address, self.port)
        return self.endpoints[name]

    def calls_to(self, name: str, call: type[Call[Any]]) -> int:
        """Return how often a node was asked to do something."""
        return self.asked.count((name, call.wire))

    def _handler(self, name: str, answers: Answers) -> type[BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = self.path.removeprefix("/")
                asked.append((name, call))
                fields = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    body = success(answers[call](msgspec.json.decode(fields)))
                except GanetiError as e:
                    body = failure(e)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: the client is what is tested."""

        return Handler
