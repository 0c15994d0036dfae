# SPDX-License-Identifier: BSD-2-Clause
"""A WebSocket is opened by pages of this server, and by programs."""

from __future__ import annotations

from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.same_origin import require_same_origin
from ganeti.rapi.site import ApiRequest
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient


class OriginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.channel, _ = NodeClient(MemoryMaster(), self.mktemp()).connect()

    def check(self, origin: str | None, host: str | None = "cluster:5080") -> None:
        request = ApiRequest(self.channel)
        for name, value in (("Origin", origin), ("Host", host)):
            if value is not None:
                request.requestHeaders.setRawHeaders(name, [value])
        require_same_origin(request)

    def test_a_program_names_no_origin(self) -> None:
        self.check(None)
        self.check(None, None)

    def test_a_page_of_this_server_names_its_host(self) -> None:
        for origin in ("https://cluster:5080", "http://cluster:5080", "https://CLUSTER:5080"):
            self.check(origin)
            self.check(origin, "Cluster:5080")
        self.check("https://[2001:db8::1]:5080", "[2001:db8::1]:5080")

    def test_any_other_origin_is_refused(self) -> None:
        for origin in (
            "https://evil.example",
            "https://cluster",
            "https://cluster:5081",
            "https://cluster:5080.evil.example",
            "https://evil.example/cluster:5080",
            "https://cluster:5080@evil.example",
            "null",
            "",
        ):
            error = self.assertRaises(HttpProblem, self.check, origin)
            self.assertEqual(error.status, HTTPStatus.FORBIDDEN, origin)
            self.assertIn("not for pages of other sites", str(error))
