# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client of etcd, over TLS, with a server that answers as told."""

from __future__ import annotations

import json
import os
import ssl
import threading
from base64 import b64encode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.own_members import create_own_store, main, write_own_store
from ganeti.bootstrap.store_client import StoreClient, created_at, delete, put
from ganeti.errors import Failed, Invalid
from ganeti.paths import Paths
from ganeti.pki.authority import find_missing_names

LOST = 0
"""In place of a status: the connection is closed without an answer."""

DOWN = "https://127.0.0.1:1"


def encode(text: str) -> str:
    return b64encode(text.encode()).decode()


class StoreClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)
        own = create_own_store(self.paths, "c", "node1", "127.0.0.1")
        write_own_store(self.paths, own, "uuid")
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        server = self.serve()
        self.served = f"https://127.0.0.1:{server.server_port}"
        self.client = StoreClient(self.paths, [DOWN, self.served])

    def serve(self, always: int | None = None) -> ThreadingHTTPServer:
        """Start a server that gives the next of the answers, or has ``always`` this status."""
        case = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if always is not None:
                    self.send_error(always)
                    return
                case.asked.append((self.path, json.loads(body)))
                status, answer = case.answers.pop(0)
                if status == LOST:
                    return
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Write nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.paths.store_member}/member.pem")
        context.load_verify_locations(self.paths.store_authority)
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def test_all_pages_are_read_at_the_revision_of_the_first(self) -> None:
        first = {"header": {"revision": "9"}, "more": True, "kvs": [{"key": encode("/a")}]}
        last = {"header": {"revision": "12"}, "kvs": [{"key": encode("/b"), "value": encode("x")}]}
        self.answers = [(200, first), (200, last)]
        self.assertEqual(self.client.read("/", "0"), {"/a": b"", "/b": b"x"})
        (_, one), (path, two) = self.asked
        self.assertEqual((path, two["revision"], two["key"]), ("/v3/kv/range", "9", encode("/a\0")))
        self.assertEqual(one["range_end"], encode("0"))

    def test_a_transaction_says_whether_it_was_carried_out(self) -> None:
        self.answers = [(200, {"header": {"revision": "5"}, "succeeded": True})]
        changes = [put("/a", b"x", "7"), delete("/b", "/c")]
        self.assertEqual(self.client.change([created_at("/a", 0)], changes), (True, 5))
        [(path, body)] = self.asked
        self.assertEqual((path, len(body["success"])), ("/v3/kv/txn", 2))
        self.assertEqual(body["compare"][0]["create_revision"], "0")

    def test_a_transaction_that_may_have_been_carried_out_is_not_repeated(self) -> None:
        for answer in ((LOST, None), (503, {"error": "etcdserver: request timed out"})):
            client = StoreClient(self.paths, [DOWN, self.served, self.served])
            self.asked.clear()
            self.answers = [answer]
            error = self.assertRaises(Failed, client.change, [], [put("/a", b"x")])
            self.assertIn("may have made the change", str(error))
            self.assertEqual(len(self.asked), 1)

    def test_requests_that_change_no_key_are_sent_to_the_next_endpoint(self) -> None:
        for answer in ((LOST, None), (503, {"error": "etcdserver: no leader"})):
            client = StoreClient(self.paths, [self.served, self.served])
            self.answers = [answer, (200, {"ID": "1"})]
            self.assertEqual(client.create_lease(60), "1")

    def test_the_endpoint_that_has_answered_is_asked_first(self) -> None:
        broken = self.serve(HTTPStatus.SERVICE_UNAVAILABLE)
        client = StoreClient(self.paths, [f"https://127.0.0.1:{broken.server_port}", self.served])
        self.answers = [(200, {"ID": "1"}), (200, {"succeeded": True})]
        client.create_lease(60)
        self.assertEqual(client.change([], [put("/a", b"x")]), (True, 0))

    def test_a_lease_that_has_ended_already_is_no_problem(self) -> None:
        self.answers = [(404, {"error": "etcdserver: requested lease not found"})]
        self.client.end_lease("123")

    def test_a_lease_is_granted_and_ended(self) -> None:
        self.answers = [(200, {"ID": "123"}), (200, {})]
        lease = self.client.create_lease(60)
        self.client.end_lease(lease)
        self.assertEqual(self.asked[1], ("/v3/lease/revoke", {"ID": "123"}))

    def test_the_reasons_of_all_endpoints_are_given(self) -> None:
        self.answers = [(503, {"error": "etcdserver: no leader"})]
        error = self.assertRaises(Failed, self.client.read, "/")
        self.assertRegex(str(error), r"127\.0\.0\.1:1: .*refused; .*: etcdserver: no leader")

    def test_without_certificates_it_says_where_they_are(self) -> None:
        os.unlink(self.paths.store_certificate)
        error = self.assertRaises(Failed, StoreClient, self.paths, [DOWN])
        self.assertIn("run this on a master candidate, as root", str(error))

    def test_certificates_are_issued_for_members_and_for_masters(self) -> None:
        issued = main(["member", "node2", "192.0.2.2"], self.paths)
        self.assertEqual(find_missing_names(issued, ["node2", "192.0.2.2"]), [])
        before = Path(self.paths.store_certificate).read_bytes()
        self.assertEqual(main(["client"], self.paths), b"")
        self.assertNotEqual(Path(self.paths.store_certificate).read_bytes(), before)
        self.assertRaises(Invalid, main, ["dance"], self.paths)
