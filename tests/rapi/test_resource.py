# SPDX-License-Identifier: BSD-2-Clause
"""Bad questions get the right status, an explanation, and change nothing."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import (
    Code,
    CommitFailed,
    Failed,
    GanetiError,
    HooksRefused,
    Invalid,
    JobLost,
    ProtocolError,
    QueueDrained,
    QueueFull,
    Refused,
)
from ganeti.luxi.methods import METHODS as METHODS_OF_MASTER
from ganeti.luxi.methods import CancelJob, QueryObjects, QueryTags, SubmitJob
from ganeti.luxi.unreachable import ConnectionLost, MasterNotRunning, NotPermitted, TimedOut
from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.authentication import Authenticator
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.verbs import Verb, submits
from ganeti.schema.documents import MAX_DEPTH
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, NOW, NodeClient
from tests.rapi.test_methods import CREATION

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "TRACE")


def address(route: Route) -> str:
    return "/".join("3" if each.startswith("{") else each for each in route.path.split("/"))


class ApiCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryTags: ["a"]})
        self.asker = NodeClient(self.master, self.mktemp())
        self.ask = self.asker.ask

    def tearDown(self) -> None:
        self.assertEqual(self.master.jobs, {})


class TreeTests(ApiCase):
    def test_a_client_that_hangs_up_cancels_what_it_asked_for(self) -> None:
        canceled: list[Deferred[object]] = []
        self.patch(self.master, "ask_raw", lambda _, __: Deferred(canceled.append))
        channel, transport = self.asker.connect()
        channel.dataReceived(b"GET /2/info HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((canceled, transport.value()), ([], b""))
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(canceled), 1)

    def test_a_client_that_hangs_up_after_its_answer_cancels_nothing(self) -> None:
        asked: Deferred[object] = Deferred(lambda _: self.fail("canceled"))
        self.patch(self.master, "ask_raw", lambda _, __: asked)
        channel, transport = self.asker.connect()
        channel.dataReceived(b"GET /2/info HTTP/1.1\r\nHost: x\r\n\r\n")
        asked.callback(Raw(b"{}"))
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertIn(b"200 OK", transport.value())

    def test_work_that_something_else_cancels_is_answered(self) -> None:
        asked: Deferred[object] = Deferred()
        self.patch(self.master, "ask_raw", lambda _, __: asked)
        channel, transport = self.asker.connect()
        channel.dataReceived(b"GET /2/info HTTP/1.1\r\nHost: x\r\n\r\n")
        asked.cancel()
        self.assertIn(b"500 Internal Server Error", transport.value())
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_a_path_is_declared_once(self) -> None:
        api = Api(
            self.master,
            Authenticator(self.asker.users, self.asker.checker, lambda: NOW),
            lambda: NOW,
            self.asker.events,
            ApiMetrics(),
        )
        self.assertRaises(ValueError, resource_tree, [*ROUTES, ROUTES[0]], api)

    def test_every_declared_path_has_its_resource(self) -> None:
        for route in ROUTES:
            answer = self.ask("OPTIONS", address(route), headers="")
            self.assertEqual((answer.status, answer.headers["Allow"]), (204, route.allowed))


class MethodTests(ApiCase):
    def test_a_method_that_a_resource_lacks_is_answered_with_those_it_has(self) -> None:
        for route in ROUTES:
            for method in set(METHODS) - set(route.verbs):
                answer = self.ask(method, address(route))
                self.assertEqual(answer.status, 405, f"{method} {route.path}")
                self.assertEqual(answer.headers["Allow"], route.allowed)

    def test_options_are_told_without_a_login(self) -> None:
        answer = self.ask("OPTIONS", "/2/tags", headers="")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["Allow"], "DELETE, GET, HEAD, OPTIONS, PUT")

    def test_head_is_a_get_without_its_body(self) -> None:
        answer = self.ask("HEAD", "/2/tags")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Length"], "6")

    def test_an_unknown_path_is_not_found_whoever_asks(self) -> None:
        for path in ("/3", "/2/", "/2/instances/", "/2/instances/web1/nope", "/2/tags/x", "//"):
            self.assertEqual(self.ask("GET", path, headers="").status, 404, path)

    def test_names_are_percent_encoded(self) -> None:
        self.master.canned[QueryObjects] = lambda asked: [{"name": asked.names[0]}]
        for path in ("/2/instances/web%2E1", "/2/instances/web%2e1", "/2/instances/web.1"):
            self.assertEqual(self.ask("GET", path).value, {"name": "web.1"})
        self.assertEqual(self.ask("GET", "/2/instances/%ff").status, 400)


class ArgumentTests(ApiCase):
    def test_all_problems_of_a_request_are_told_at_once(self) -> None:
        body = {**CREATION, "colour": "red", "os_type": "deb", "disks": 5}
        del body["mode"]
        answer = self.ask("POST", "/2/instances?dry-run=yes&size=3", body)
        self.assertEqual(answer.status, 400)
        for problem in (
            "dry-run: must be 0 or 1",
            "size: unknown parameter",
            "colour: unknown parameter",
            "mode: is required",
            "disks: must be",
            "os_type: is given twice",
        ):
            self.assertIn(problem, answer.message)

    def test_a_creation_says_its_version(self) -> None:
        for version in (None, 0, 2, "1", True):
            body = {**CREATION, "__version__": version, "os": 5}
            answer = self.ask("POST", "/2/instances", body)
            self.assertEqual(answer.status, 400)
            self.assertIn("__version__", answer.message)
            self.assertIn("os: ", answer.message)

    def test_parameters_come_by_query_or_by_body(self) -> None:
        for path, body in (
            ("/2/instances/web1/reinstall?os=a", {"os": "b"}),
            ("/2/instances/web1/replace-disks?mode=replace_auto", {"disks": [1]}),
            ("/2/nodes/node1/migrate?live=1", {"mode": "live"}),
        ):
            answer = self.ask("POST", path, body)
            self.assertEqual(answer.status, 400)
            self.assertIn("not in both", answer.message)

    def test_null_stands_for_what_is_left_out(self) -> None:
        body = {"network_name": "net1", "network": "192.0.2.0/24", "tags": None, "gateway": None}
        self.assertEqual(self.ask("POST", "/2/networks", body).status, 200)
        answer = self.ask("POST", "/2/networks", {**body, "network": None})
        self.assertIn("network: must be text, not null", answer.message)
        self.master.jobs.clear()

    def test_what_the_path_says_is_not_said_again(self) -> None:
        answer = self.ask("PUT", "/2/instances/web1/shutdown", {"instance_name": "web2"})
        self.assertEqual(answer.status, 400)
        self.assertIn("instance_name: is given by the path", answer.message)

    def test_required_parameters_are_asked_for(self) -> None:
        for method, path, name in (
            ("PUT", "/2/nodes/node1/storage/repair", "storage_type"),
            ("GET", "/2/nodes/node1/storage", "output_fields"),
            ("PUT", "/2/instances/web1/prepare-export", "mode"),
            ("POST", "/2/instances/web1/replace-disks", "mode"),
            ("PUT", "/2/instances/web1/export", "destination"),
        ):
            answer = self.ask(method, path)
            self.assertEqual(answer.status, 400)
            self.assertIn(f"{name}: is required", answer.message)

    def test_a_parameter_has_one_value(self) -> None:
        answer = self.ask("GET", "/2/instances?bulk=1&bulk=0")
        self.assertIn("bulk: is given more than once", answer.message)

    def test_a_parameter_without_a_value_is_not_given_but_must_be_known(self) -> None:
        self.assertEqual(self.ask("GET", "/2/tags?lock=").status, 200)
        answer = self.ask("GET", "/2/instances?bulk=&one=&two")
        self.assertEqual(
            (answer.status, answer.message), (400, "one: unknown parameter; two: unknown parameter")
        )

    def test_questions_take_no_locks(self) -> None:
        for path in ("/2/instances", "/2/nodes/node1", "/2/nodes/node1/role", "/2/tags"):
            answer = self.ask("GET", path + "?lock=1")
            self.assertEqual(answer.status, 400)
            self.assertIn("lock: ", answer.message)

    def test_a_question_needs_no_body(self) -> None:
        self.assertEqual(self.ask("GET", "/2/tags", {}).status, 200)
        self.assertIn("a: unknown", self.ask("GET", "/2/tags", {"a": 1}).message)
        self.assertIn("no body", self.ask("GET", "/2/tags", [1]).message)


class BodyTests(ApiCase):
    def test_a_body_that_nests_too_deep_is_refused(self) -> None:
        for depth in (MAX_DEPTH + 1, 100_000):
            raw = b"[" * depth + b"]" * depth
            answer = self.ask("POST", "/2/instances", raw=raw)
            self.assertEqual(answer.status, 400)
            self.assertIn("nested more than 100 levels", answer.message)

    def test_a_body_is_json_and_says_so(self) -> None:
        for kind, raw, status in (
            ("application/json; charset=utf-8", b"{", 400),
            ("Application/JSON", b"\xff", 400),
            ("application/json", b"[" * 2000, 400),
            ("application/json", b"5", 400),
            ("application/json; charset=latin-1", b"{}", 415),
            ("text/plain", b"{}", 415),
        ):
            headers = f"Content-Type: {kind}\r\n"
            answer = self.ask("PUT", "/2/instances/web1/startup", headers=AUTO + headers, raw=raw)
            self.assertEqual(answer.status, status, (kind, raw, answer.body))
            self.assertTrue(answer.message)

    def test_only_administrators_choose_programs_to_run(self) -> None:
        answer = self.ask("PUT", "/2/modify", {"compression_tools": ["rm"]})
        self.assertEqual(answer.status, 403)
        self.assertIn("compression_tools", answer.message)


class ErrorTests(ApiCase):
    def test_every_error_has_its_status(self) -> None:
        statuses: list[tuple[GanetiError, int]] = [
            (Invalid("x"), 400),
            (Refused("x"), 409),
            (Refused("x", Code.UNKNOWN), 404),
            (Refused("x", Code.EXISTS), 409),
            (Refused("x", Code.TEMPORARY), 503),
            (JobLost("x"), 404),
            (QueueDrained("x"), 503),
            (QueueFull("x"), 503),
            (CommitFailed("x"), 503),
            (HooksRefused([("node1", "a", "b")]), 409),
            (MasterNotRunning("x"), 503),
            (NotPermitted("x"), 502),
            (ConnectionLost("x"), 502),
            (ProtocolError("x"), 502),
            (TimedOut("x"), 504),
            (Failed("x"), 500),
            (GanetiError("x"), 500),
        ]
        for error, status in statuses:
            self.master.canned[SubmitJob] = error
            answer = self.ask("PUT", "/2/tags?tag=a")
            self.assertEqual((answer.status, answer.message), (status, str(error)), error)

    def test_a_name_that_there_is_not_is_not_found(self) -> None:
        self.master.canned[QueryObjects] = []
        for path in ("/2/instances/web9", "/2/nodes/node9", "/2/groups/g", "/2/networks/n"):
            answer = self.ask("GET", path)
            self.assertEqual(answer.status, 404)
            self.assertIn("does not exist", answer.message)

    def test_without_a_master_every_answer_says_so(self) -> None:
        self.master.away = True
        answer = self.ask("GET", "/2/info")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "5"))
        self.assertEqual(answer.message, "the master daemon is not running")
        self.assertEqual(self.ask("GET", "/version").status, 200)

    def test_the_unexpected_is_logged_under_the_reference_that_is_answered(self) -> None:
        def broken(_: object) -> None:
            raise KeyError

        self.master.canned[CancelJob] = broken
        answer = self.ask("DELETE", "/2/jobs/1")
        self.assertEqual(answer.status, 500)
        self.assertRegex(answer.message, "reference [0-9a-f]{12}")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def names_of(verb: Verb) -> list[str]:
    """What the body of a method can have."""
    if isinstance(verb, submits):
        return [*verb.opcode.__struct_fields__, *verb.renames, "__version__", "x"]
    body = getattr(verb, "body", None)
    return [*(body.__struct_fields__ if body else ()), "x"]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, object]:
    """Method, path and body of any request to any route."""
    route = draw(st.sampled_from(ROUTES))
    method = draw(st.sampled_from(sorted(route.verbs)))
    verb = route.verbs[method]
    queries = st.sampled_from([*(each.name for each in verb.parameters), "x"])
    query = draw(st.dictionaries(queries, st.text() | st.sampled_from("01"), max_size=3))
    keys = st.sampled_from(names_of(verb))
    body = draw(ANYTHING | st.dictionaries(keys, ANYTHING, max_size=5))
    return method, f"{address(route)}?{urlencode(query)}", body


class AnyRequestTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(requests())
    def test_no_request_breaks_anything(self, request: tuple[str, str, object]) -> None:
        method, path, body = request
        master = MemoryMaster()
        # What it does not expect, as from a master that refuses everything but jobs.
        for kind in set(METHODS_OF_MASTER.values()) - {SubmitJob}:
            master.canned[kind] = Refused("no")
        answer = NodeClient(master, self.mktemp()).ask(method, path, body)
        # A sign-in that was not begun here is refused as one, whoever asks.
        refused = {401} if b"signing in" in answer.body else {426}  # a console wants a WebSocket
        self.assertIn(answer.status, {200, 400, 403, 404, 409} | refused, answer.body)
        json.loads(answer.body)
