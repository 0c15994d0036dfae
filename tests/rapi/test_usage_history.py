# SPDX-License-Identifier: BSD-2-Clause
"""What was used over days is asked of Prometheus, by those who may know it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.prometheus_queries import Prometheus, Selector, Span
from ganeti.rapi.usage_history import MAX_POINTS, MIN_STEP, UsageHistory, span_of
from ganeti.rapi.verbs import Services
from tests.rapi.access.case import SecuredCase

NOW = 1_700_000_000.0
SPAN = Span(end=1000.0, step=10, count=4)


class TestPrometheus:
    """Answers each question with ``points``, or with ``raw`` and a status."""

    __test__ = False

    def __init__(self) -> None:
        self.points: Sequence[tuple[float, str]] = ()
        self.raw: tuple[int, bytes] | None = None
        self.error: HttpProblem | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: Mapping[str, str] = {}

    async def fetch(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        assert (method, address) == ("POST", "https://prom:9090/p/api/v1/query_range")
        self.headers = headers
        self.asked.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        if self.error is not None:
            raise self.error
        if self.raw is not None:
            return self.raw
        result = [{"metric": {}, "values": self.points}] if self.points else []
        data = {"resultType": "matrix", "result": result}
        return 200, json.dumps({"status": "success", "data": data}).encode()

    @property
    def questions(self) -> list[str]:
        return [each["query"] for each in self.asked]


class PrometheusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = TestPrometheus()
        self.prometheus = Prometheus(self.server.fetch, "https://prom:9090/p/")

    def refusal(self) -> str:
        failed = self.failureResultOf(self.prometheus.query("x", SPAN), HttpProblem)
        self.assertEqual(failed.value.status, HTTPStatus.BAD_GATEWAY)
        return str(failed.value)

    def test_values_have_the_places_of_their_times_and_others_are_unknown(self) -> None:
        self.server.points = [(970, "1"), (990, "0.123456"), (1000, "NaN"), (1010, "7"), (1, "7")]
        found = self.successResultOf(self.prometheus.query("x", SPAN))
        self.assertEqual(found, (1.0, None, 0.1235, None))
        [asked] = self.server.asked
        self.assertEqual(asked, {"query": "x", "start": "970.000", "end": "1000.000", "step": "10"})

    def test_what_has_no_series_is_unknown(self) -> None:
        self.assertEqual(self.successResultOf(self.prometheus.query("x", SPAN)), (None,) * 4)

    def test_errors_say_what_to_look_at(self) -> None:
        error = b'{"status":"error","errorType":"bad_data","error":"parse error"}'
        for raw, text in (
            ((400, error), "cannot be asked: parse error"),
            ((401, b"no"), "check --prometheus-login"),
            ((200, b"<html>"), "status 200, and not as a Prometheus does; check --prometheus"),
            ((200, b'{"status":"success","data":{"result":[{"values":[["x",1]]}]}}'), "not as a"),
        ):
            self.server.raw = raw
            self.assertIn(text, self.refusal())

    def test_a_password_is_read_for_each_question(self) -> None:
        pairs = iter([("mon", "one"), ("mon", "two")])
        prometheus = Prometheus(self.server.fetch, "https://prom:9090/p", lambda: next(pairs))
        for coded in ("bW9uOm9uZQ==", "bW9uOnR3bw=="):
            self.successResultOf(prometheus.query("x", SPAN))
            self.assertEqual(self.server.headers["Authorization"], f"Basic {coded}")

    def test_a_password_that_cannot_be_read_is_told_and_nothing_is_asked(self) -> None:
        def login() -> tuple[str, str]:
            raise FileNotFoundError(2, "No such file or directory", "/etc/prom")

        self.prometheus = Prometheus(self.server.fetch, "https://prom:9090/p", login)
        self.assertIn("/etc/prom", self.refusal())
        self.assertEqual(self.server.asked, [])

    def test_names_cannot_leave_their_quotes(self) -> None:
        selector = Selector((("cluster", "a"),))
        self.assertEqual(
            selector.selector_of("m", guest='x"} or y{z="'),
            r'm{cluster="a",guest="x\"} or y{z=\""}',
        )
        self.assertEqual(selector.selector_of("m", guest="a\\\n"), r'm{cluster="a",guest="a\\\n"}')


class SpanTests(SynchronousTestCase):
    def test_an_answer_has_so_many_points_at_most_and_ends_now(self) -> None:
        for hours in (1, 4, 5, 24, 168, 720, 8784):
            span = span_of(NOW, hours)
            self.assertLessEqual(span.count, MAX_POINTS)
            self.assertGreater(span.count, 200)
            self.assertAlmostEqual(span.count * span.step, hours * 3600, delta=span.step)
            self.assertLess(NOW - span.end, MIN_STEP)


class UsageHistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server, self.clock = TestPrometheus(), Clock()
        self.clock.advance(NOW)
        prometheus = Prometheus(self.server.fetch, "https://prom:9090/p")
        self.history = UsageHistory(prometheus, Selector(), self.clock.seconds)

    def test_an_instance_is_not_told_of_one_that_had_its_name_before(self) -> None:
        end = span_of(NOW, 4).end
        self.server.points = [(end - 30 + 15 * n, str(n)) for n in range(3)]
        told = self.successResultOf(self.history.instance("web1", 4, since=end - 15))
        self.assertEqual(told["series"]["cpu"], (1.0, 2.0))
        later = self.successResultOf(self.history.instance("web1", 4, since=NOW + 100))
        self.assertEqual(later["series"]["cpu"], ())

    def test_jobs_are_counted_for_each_step(self) -> None:
        self.successResultOf(self.history.jobs(8760))
        step = span_of(NOW, 8760).step
        counted = f'sum(rate(ganeti_jobs_ended_total{{status="error"}}[{step}s])) * {step}'
        self.assertIn(counted, self.server.questions)
        self.assertEqual(len(self.server.questions), 7)

    def test_one_error_is_told_as_it_is(self) -> None:
        self.server.error = HttpProblem(HTTPStatus.BAD_GATEWAY, "Prometheus does not answer: no")
        failed = self.failureResultOf(self.history.node("node1", 24), HttpProblem)
        self.assertEqual(str(failed.value), "Prometheus does not answer: no")


class UsageRequestTests(SecuredCase):
    def services(self) -> Services:
        self.server = TestPrometheus()
        prometheus = Prometheus(self.server.fetch, "https://prom:9090/p")
        selector = Selector((("cluster", "prod"),))
        history = UsageHistory(prometheus, selector, self.cluster.clock.seconds)
        return replace(super().services(), history=history)

    def status(self, path: str, user: str) -> int:
        return self.ask("GET", path, user=user).status

    def test_a_long_time_is_asked_of_prometheus_and_a_short_one_is_not(self) -> None:
        told: Any = self.ask("GET", "/2/instances/web1/usage?hours=24", user="vic").value
        self.assertEqual(told["step"], 90)
        self.assertEqual(
            told["series"].keys(),
            {"cpu", "memory", "disk_read", "disk_written", "received", "sent"},
        )
        self.assertIn(
            'sum(rate(ganeti_guest_cpu_seconds_total{cluster="prod",guest="web1"}[240s]))',
            self.server.questions,
        )
        asked = len(self.server.questions)
        self.assertEqual(self.status("/2/instances/web1/usage", "vic"), 200)
        self.assertEqual(len(self.server.questions), asked)

    def test_a_limited_role_sees_its_instances_and_nothing_of_all(self) -> None:
        self.assertEqual(self.status("/2/instances/web1/usage?hours=24", "ann"), 200)
        asked = len(self.server.questions)
        theirs, none = (
            self.ask("GET", f"/2/instances/{name}/usage?hours=24", user="ann")
            for name in ("db1", "xx1")
        )
        self.assertEqual((theirs.status, none.status), (404, 404))
        self.assertEqual(theirs.message.replace("db1", "xx1"), none.message)
        node = self.master.config.state().master.name
        self.assertEqual(self.status(f"/2/nodes/{node}/usage?hours=24", "ann"), 403)
        self.assertEqual(self.status("/2/job-rates?hours=24", "ann"), 403)
        self.assertEqual(self.status("/2/job-rates", "ann"), 200)
        self.assertEqual(len(self.server.questions), asked)

    def test_nodes_and_jobs_are_for_unlimited_roles(self) -> None:
        node = self.master.config.state().master.name
        self.assertEqual(self.status(f"/2/nodes/{node}/usage?hours=24", "vic"), 200)
        self.assertEqual(self.status("/2/job-rates?hours=24", "vic"), 200)
        self.assertEqual(self.status("/2/nodes/nix/usage?hours=24", "vic"), 404)

    def test_times_that_mean_nothing_are_refused(self) -> None:
        for hours in ("0", "-1", "9999999", "x"):
            self.assertEqual(self.status(f"/2/job-rates?hours={hours}", "vic"), 400, hours)
        self.assertEqual(self.server.asked, [])

    def test_the_feature_is_told(self) -> None:
        self.assertIn("usage-history", self.ask("GET", "/2/features", user="vic").value)


class WithoutPrometheusTests(SecuredCase):
    def test_a_server_without_one_says_what_to_do(self) -> None:
        refused = self.ask("GET", "/2/instances/web1/usage?hours=24", user="vic")
        self.assertEqual(refused.status, 409)
        self.assertIn("start ganeti-rapi with --prometheus", refused.message)
        self.assertNotIn("usage-history", self.ask("GET", "/2/features", user="vic").value)
