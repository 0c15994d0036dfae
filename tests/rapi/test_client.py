# SPDX-License-Identifier: BSD-2-Clause
"""The client library and the server understand each other, method by method."""

from __future__ import annotations

import inspect
import socket
import ssl
import time
from collections.abc import Mapping
from threading import Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import (
    CancelJob,
    DeleteFilter,
    Query,
    QueryClusterInfo,
    QueryFields,
    QueryFilters,
    QueryGroups,
    QueryImages,
    QueryInstances,
    QueryJobs,
    QueryNetworks,
    QueryNodes,
    QueryObjects,
    QueryTags,
    ReplaceFilter,
    WaitForJobChange,
)
from ganeti.pki.authority import Authority
from ganeti.rapi.client import CertificateError, Connection, GanetiApiError, GanetiRapiClient
from ganeti.rapi.routes.cluster import FILTER_FIELDS
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient

ARGUMENTS: Mapping[str, Any] = {
    "action": "REJECT",
    "amount": 5,
    "bulk": True,
    "destination": "node2",
    "disk": 0,
    "disk_template": "plain",
    "disks": [],
    "fields": ["name"],
    "iallocator": "hail",
    "instances": [{"mode": "create", "name": "x", "os": "deb", "disks": [], "nics": []}],
    "job_id": 7,
    "link": "br0",
    "mode": "live",
    "network": "192.0.2.0/24",
    "nics": [],
    "nodes": ["node1"],
    "output_fields": ["name", "free"],
    "predicates": [],
    "priority": 3,
    "role": "offline",
    "storage_type": "lvm-vg",
    "tags": ["a", "b"],
    "what": "node",
}
MODES = {
    "CreateInstance": "create",
    "PrepareExport": "local",
    "ExportInstance": "local",
    "ConnectNetwork": "bridged",
    "EvacuateNode": "all",
    "ReplaceInstanceDisks": "replace_auto",
}


OURS = ("/2/access/", "/2/backup-", "/2/failover", "/2/history", "/2/notifications")
"""What clients of Ganeti know nothing of."""


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.master = MemoryMaster(
            {
                QueryTags: ["a"],
                QueryObjects: [{"name": "x"}],
                QueryInstances: lambda asked: [[{"kind": "ssh"}, True]],
                QueryNodes: [["C"]],
                QueryGroups: [["x"]],
                QueryImages: [["x"]],
                QueryNetworks: [["x"]],
                QueryClusterInfo: {"name": "c"},
                QueryFields: {"fields": []},
                QueryJobs: lambda asked: [[7]] if asked.ids is None else [["success"] * 10],
                QueryFilters: [["x"] * len(FILTER_FIELDS)],
                ReplaceFilter: "uuid",
                DeleteFilter: lambda _: None,
                CancelJob: [True, ""],
                WaitForJobChange: [["running"], []],
                Query: {"fields": [], "data": []},
            }
        )
        asker = NodeClient(self.master, self.mktemp())

        def exchange(
            method: str, path: str, headers: Mapping[str, str], body: bytes
        ) -> tuple[int, bytes]:
            self.sent.append((method, path.partition("?")[0]))
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            answer = asker.ask(method, path, headers=lines, raw=body)
            return answer.status, answer.body

        self.client = GanetiRapiClient("x", username="auto", password="xyz789", exchange=exchange)

    def call(self, name: str, *, all_arguments: bool) -> None:
        method = getattr(self.client, name)
        arguments: dict[str, Any] = {}
        for parameter in inspect.signature(method).parameters.values():
            optional = parameter.default is not parameter.empty
            if parameter.kind is parameter.VAR_KEYWORD or (optional and not all_arguments):
                continue
            if parameter.name in ("dry_run", "bulk") or "bool" in str(parameter.annotation):
                arguments[parameter.name] = True
            elif parameter.name == "mode":
                arguments["mode"] = MODES.get(name, "live")
            elif parameter.name in ARGUMENTS:
                arguments[parameter.name] = ARGUMENTS[parameter.name]
            elif not optional:
                arguments[parameter.name] = "x"
        method(**arguments)

    def test_every_method_is_understood_by_the_server(self) -> None:
        for name in dir(GanetiRapiClient):
            if name[0].isupper():
                for all_arguments in (False, True):
                    self.call(name, all_arguments=all_arguments)

    def test_every_resource_has_a_method(self) -> None:
        self.test_every_method_is_understood_by_the_server()
        asked = {(method, len(path.split("/")), path.split("/")[-1]) for method, path in self.sent}
        missing = []
        routes = [route for route in ROUTES if not route.path.startswith(OURS)]
        for route in routes:
            for method in route.verbs:
                key = method, len(route.segments) + 1, route.segments[-1]
                last = {"{job_id}": "7", "{resource}": "node"}.get(key[2], key[2])
                last = "x" if last.startswith("{") else last
                if (method, key[1], last) not in asked:
                    missing.append((method, route.path))
        self.assertEqual(
            missing,
            [
                *(("GET", path) for path in ("/", "/2", "/2/openapi", "/metrics", "/2/events")),
                ("GET", "/2/query/{resource}"),
                # Ganeti does not copy instances.
                ("POST", "/2/instances/{instance_name}/clone"),
                # For browsers.
                ("POST", "/2/instances/{instance_name}/console-ticket"),
                ("GET", "/2/instances/{instance_name}/screenshot"),
                ("GET", "/2/instances/{instance_name}/usage"),
                ("GET", "/2/console"),
                ("GET", "/2/nodes/{node_name}/usage"),
                ("GET", "/2/job-rates"),
                # Bodies of any size are for clients such as curl, which go on with them.
                *((method, "/2/images/{image_name}/upload") for method in ("GET", "PUT", "DELETE")),
                # Ganeti has programs for these, hbal and hspace.
                ("GET", "/2/balance"),
                ("PUT", "/2/balance"),
                ("GET", "/2/capacity"),
                # Ganeti does not fail guests over.
                ("PUT", "/2/instances/{instance_name}/failover-policy"),
                ("PUT", "/2/nodes/{node_name}/maintenance"),
                ("PUT", "/2/nodes/{node_name}/confirm-off"),
                # Ganeti has no snapshots that stay.
                ("GET", "/2/instances/{instance_name}/snapshots"),
                ("POST", "/2/instances/{instance_name}/snapshots"),
                ("GET", "/2/instances/{instance_name}/snapshots/{snapshot_name}"),
                ("DELETE", "/2/instances/{instance_name}/snapshots/{snapshot_name}"),
                ("PUT", "/2/instances/{instance_name}/snapshots/{snapshot_name}/revert"),
                # Ganeti has exports, but no backups.
                ("PUT", "/2/instances/{instance_name}/backup"),
                ("PUT", "/2/instances/{instance_name}/restore-disks"),
            ],
        )

    def test_an_error_has_the_message_and_the_status(self) -> None:
        with self.assertRaisesRegex(GanetiApiError, "amount: must be") as caught:
            self.client.GrowInstanceDisk("web1", 0, -1)
        self.assertEqual(caught.exception.code, 400)

    def test_waiting_for_a_job_ends_with_the_job_or_with_patience(self) -> None:
        for status, answer in (("success", True), ("error", False), ("running", False)):
            self.master.canned[QueryJobs] = [[status] * 10]
            slept: list[float] = []
            done = self.client.WaitForJobCompletion(7, 2, 3, sleep=slept.append)
            self.assertEqual((done, slept), (answer, [2, 2] if status == "running" else []))


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


class LoopbackServer:
    """Serves one connection after the other, and answers so many requests on each of them.

    ``requests`` are the first lines of what was received. With a ``context`` it speaks TLS.
    """

    def __init__(self, *answers: int, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self._answers = answers
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(10)  # so that a test that fails also ends
        self.port: int = self._listening.getsockname()[1]
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        """Wait until all connections were served."""
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        for count in self._answers:
            try:
                connection = self._listening.accept()[0]
            except TimeoutError:
                return
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                for _ in range(count):
                    self.requests.append(self._receive(connection))
                    connection.sendall(ANSWER)
            except OSError:
                pass  # the client does not trust this server, or has gone
            finally:
                connection.close()

    def _receive(self, connection: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (received := connection.recv(4096)):
                raise ConnectionResetError
            data += received
        return data.partition(b" HTTP")[0].decode()


class ConnectionTests(SynchronousTestCase):
    def serve(self, *answers: int, context: ssl.SSLContext | None = None) -> LoopbackServer:
        server = LoopbackServer(*answers, context=context)
        self.addCleanup(server.stop)
        return server

    def connect(self, port: int, context: ssl.SSLContext | None = None) -> Connection:
        connection = Connection("127.0.0.1", port, context=context, timeout=10)
        self.addCleanup(connection.close)
        return connection

    def test_one_connection_is_used_for_several_requests(self) -> None:
        server = self.serve(2)
        connection = self.connect(server.port)
        for path in ("/2/a", "/2/b"):
            self.assertEqual(connection("GET", path, {}, b""), (200, b"[]"))
        server.stop()
        self.assertEqual(server.requests, ["GET /2/a", "GET /2/b"])

    def test_a_question_is_asked_again_if_an_idle_connection_was_closed(self) -> None:
        server = self.serve(1, 1)
        connection = self.connect(server.port)
        for _ in range(2):
            self.assertEqual(connection("GET", "/2/a", {}, b""), (200, b"[]"))

    def test_a_change_is_never_asked_for_twice(self) -> None:
        server = self.serve(1)
        connection = self.connect(server.port)
        connection("GET", "/2/a", {}, b"")
        server.stop()
        with self.assertRaisesRegex(GanetiApiError, f"^127.0.0.1 port {server.port}: ") as caught:
            connection("PUT", "/2/a", {}, b"")
        self.assertIs(caught.exception.code, None)
        self.assertEqual(server.requests, ["GET /2/a"])

    def test_a_server_that_is_gone_is_an_error_that_names_it(self) -> None:
        server = self.serve()
        server.stop()
        with self.assertRaisesRegex(GanetiApiError, "Connection refused"):
            self.connect(server.port)("GET", "/2/a", {}, b"")

    def test_a_server_that_has_gone_meanwhile_is_one_as_well(self) -> None:
        server = self.serve(1)
        connection = self.connect(server.port)
        connection("GET", "/2/a", {}, b"")
        server.stop()
        with self.assertRaisesRegex(GanetiApiError, "Connection refused"):
            connection("GET", "/2/a", {}, b"")

    def test_a_certificate_of_another_authority_is_not_trusted(self) -> None:
        now = time.time()
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(Authority.founded("theirs", now).credentials(["localhost"], now).pem)
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(path)
        ours = Authority.founded("ours", now).certificate.decode()
        trusted = ssl.create_default_context(cadata=ours)
        server = self.serve(1, context=served)
        with self.assertRaisesRegex(CertificateError, "^127.0.0.1 port"):
            self.connect(server.port, trusted)("GET", "/2/a", {}, b"")


class AnswerTests(SynchronousTestCase):
    """What the client makes of answers."""

    def ask(self, status: int, body: bytes) -> Any:
        return self.client(status, body).GetInfo()

    def client(self, status: int, body: bytes) -> GanetiRapiClient:
        """A client of a server that always gives this answer."""
        self.sent: list[tuple[str, str, Mapping[str, str], bytes]] = []

        def exchange(
            method: str, path: str, headers: Mapping[str, str], content: bytes
        ) -> tuple[int, bytes]:
            self.sent.append((method, path, headers, content))
            return status, body

        return GanetiRapiClient("x", username="auto", exchange=exchange)

    def refusal(self, status: int, body: bytes) -> GanetiApiError:
        error: GanetiApiError = self.assertRaises(GanetiApiError, self.ask, status, body)
        self.assertEqual(error.code, status)
        return error

    def test_a_value_is_returned(self) -> None:
        self.assertEqual(self.ask(200, b'{"name": "c"}'), {"name": "c"})

    def test_an_error_has_the_message_of_the_server_or_its_status(self) -> None:
        self.assertEqual(
            str(self.refusal(409, b'{"message": "node1 is offline"}')), "node1 is offline"
        )
        for body in (b"", b"[]", b'{"message": null}'):
            self.assertEqual(str(self.refusal(502, body)), "GET /2/info: status 502")

    def test_an_answer_of_something_else_is_an_error(self) -> None:
        for body in (b"<html>", b"[" * 100_000):
            self.assertIn("the answer is not JSON", str(self.refusal(200, body)))
        for body in (b"", b"null", b"[]", b"7", b'"text"'):
            told = str(self.refusal(200, body))
            self.assertIn("the answer is not an object; check that this is the address of", told)

    def test_lists_and_their_elements_are_checked_too(self) -> None:
        for body, wanted in (
            (b'{"id": "web1"}', "a list"),
            (b'"web1"', "a list"),
            (b'["web1"]', "an object"),
            (b'[{"name": "web1"}]', "an object with the field id"),
        ):
            client = self.client(200, body)
            error: GanetiApiError = self.assertRaises(GanetiApiError, client.GetInstances)
            self.assertIn(f"the answer is not {wanted};", str(error))
        for ask in ("GetOperatingSystems", "GetFeatures"):
            client = self.client(200, b'"text"')
            self.assertRaises(GanetiApiError, getattr(client, ask))
        self.assertRaises(GanetiApiError, self.client(200, b"{}").WaitForJobCompletion, 7)

    def test_a_login_without_a_password_is_sent_as_one(self) -> None:
        self.ask(200, b"{}")
        [(_, _, headers, _)] = self.sent
        self.assertEqual(headers["Authorization"], "Basic YXV0bzo=")
