# SPDX-License-Identifier: BSD-2-Clause
"""The console is served as browsers want it: types, caching, a strict policy."""

from __future__ import annotations

import gzip
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from ganeti.rapi.console.resource import ConsoleResource
from ganeti.rapi.site import ApiSite
from tests.rapi.asking import Answer, answers
from tests.rapi.console.test_console_files import a_console


class ConsoleResourceTests(SynchronousTestCase):
    def setUp(self) -> None:
        root = Resource()
        self.folder = Path(self.mktemp())
        root.putChild(b"ui", ConsoleResource(a_console(self.folder)))
        self.site = ApiSite(root, Clock())

    def ask(self, path: str, headers: str = "", method: str = "GET") -> Answer:
        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        channel.dataReceived(head.encode())
        (answer,) = answers(transport.value(), method)
        return answer

    def test_a_script_has_its_type_and_is_sent_as_it_is(self) -> None:
        answer = self.ask("/ui/src/pages/job.js")
        self.assertEqual((answer.status, answer.body), (200, b"job"))
        self.assertEqual(answer.headers["Content-Type"], "text/javascript; charset=utf-8")

    def test_it_is_compressed_for_those_who_can_read_that(self) -> None:
        answer = self.ask("/ui/src/pages/job.js", "Accept-Encoding: gzip, br\r\n")
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(answer.body), b"job")

    def test_what_a_browser_has_is_not_sent_again(self) -> None:
        etag = self.ask("/ui/src/pages/job.js").headers["ETag"]
        answer = self.ask("/ui/src/pages/job.js", f"If-None-Match: {etag}\r\n")
        self.assertEqual((answer.status, answer.body), (304, b""))

    def test_every_address_of_the_console_shows_its_page(self) -> None:
        for path in ("/ui/", "/ui/instances", "/ui/instances/web1.example.com"):
            self.assertIn(b"importmap", self.ask(path).body)

    def test_a_script_that_is_missing_is_not_the_page(self) -> None:
        for path in ("/ui/src/missing.js", "/ui/lib/missing", "/ui/missing.js"):
            self.assertEqual(self.ask(path).status, 404, path)

    def test_scripts_come_from_here_only(self) -> None:
        policy = self.ask("/ui/").headers["Content-Security-Policy"]
        rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
        self.assertEqual(rules["default-src"], "'none'")
        self.assertRegex(rules["script-src"], r"^'self' 'sha256-[^ ]+'$")
        self.assertEqual((rules["style-src"], rules["connect-src"]), ("'self'", "'self'"))

    def test_the_console_is_read_only(self) -> None:
        answer = self.ask("/ui/", method="PUT")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, OPTIONS"))

    def test_its_short_address_leads_there(self) -> None:
        answer = self.ask("/ui")
        self.assertEqual((answer.status, answer.headers["Location"]), (308, "/ui/"))

    def test_it_tells_what_it_waits_for(self) -> None:
        (self.folder / "libraries.progress").write_text("installing npm\n")
        self.assertEqual(
            self.ask("/ui/libraries").value, {"complete": True, "progress": "installing npm"}
        )

    def test_a_server_without_the_console_says_so(self) -> None:
        (self.folder / "index.html").unlink()
        self.assertEqual(self.ask("/ui/").status, 404)
