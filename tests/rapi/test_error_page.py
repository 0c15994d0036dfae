# SPDX-License-Identifier: BSD-2-Clause
"""A person gets an error as a page without scripts, and a program does not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from ganeti.errors import AccessDenied, Code, Invalid, Refused, Unauthenticated
from ganeti.rapi.error_page import HTML, accepts_page, error_page

LINKS = (("/ui/", "Web console"), ("/2/access/openid/login?a=1&b=2", "Sign in"))


class AcceptTests(SynchronousTestCase):
    def accepts(self, *values: str) -> bool:
        return accepts_page(Headers({"Accept": list(values)} if values else {}))

    def test_a_browser_that_follows_a_link_prefers_a_page(self) -> None:
        for value in (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html;q=0.9",
            "application/xhtml+xml",
            " TEXT/HTML , */*",
        ):
            self.assertTrue(self.accepts(value), value)
        self.assertTrue(self.accepts("text/html", "application/json"))

    def test_a_program_does_not(self) -> None:
        for value in ("*/*", "application/json", "application/json, text/html", "text/plain", ""):
            self.assertFalse(self.accepts(value), value)
        self.assertFalse(self.accepts())


class PageTests(SynchronousTestCase):
    def page(self, message: str) -> str:
        response = error_page(Refused(message, Code.UNKNOWN), "Not <found>", LINKS)
        self.assertEqual(response.content_type, HTML)
        return bytes(response.body).decode()

    def test_it_has_the_status_of_the_answer_to_programs(self) -> None:
        for error, status in (
            (Invalid("no"), 400),
            (Unauthenticated("no"), 401),
            (AccessDenied("no"), 403),
            (Refused("no", Code.UNKNOWN), 404),
        ):
            self.assertEqual(error_page(error, "X", ()).status, status)

    def test_it_asks_for_no_password_in_a_dialog(self) -> None:
        names = {name for name, _ in error_page(Unauthenticated("no"), "X", ()).headers}
        self.assertNotIn("WWW-Authenticate", names)

    def test_it_is_not_kept_and_runs_nothing(self) -> None:
        headers = dict(error_page(Invalid("no"), "X", ()).headers)
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        policy = headers["Content-Security-Policy"]
        self.assertTrue(policy.startswith("default-src 'none'; style-src 'self'"))
        self.assertNotIn("script-src", policy)

    def test_the_message_is_a_sentence(self) -> None:
        for message in ("the state is unknown", "the state is unknown."):
            self.assertIn(">The state is unknown.</p>", self.page(message))

    def test_what_others_have_written_is_no_markup(self) -> None:
        page = self.page('<script>alert("x")</script>')
        self.assertNotIn("<script", page)
        self.assertIn("&lt;script&gt;alert(&quot;x&quot;)", page)
        self.assertIn("<h1>Not &lt;found&gt;</h1>", page)

    def test_braces_in_a_message_are_only_text(self) -> None:
        self.assertIn("{title} {0}", self.page("{title} {0}"))

    def test_there_are_links_to_go_on(self) -> None:
        page = self.page("no")
        self.assertIn('<a class="button" href="/ui/">Web console</a>', page)
        self.assertIn('href="/2/access/openid/login?a=1&amp;b=2">Sign in</a>', page)
