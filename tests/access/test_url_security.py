# SPDX-License-Identifier: BSD-2-Clause
"""Secrets go to addresses with TLS, or stay on this host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.url_security import is_secure


class UrlTests(SynchronousTestCase):
    def test_https_is_secure_everywhere(self) -> None:
        for url in (
            "https://id.example",
            "HTTPS://id.example:8443/a?b=c",
            "https://[2001:db8::1]/",
        ):
            self.assertTrue(is_secure(url), url)

    def test_http_is_secure_on_this_host_only(self) -> None:
        for host in ("localhost", "LOCALHOST:8080", "127.0.0.1", "127.255.0.1:80", "[::1]:80"):
            self.assertTrue(is_secure(f"http://{host}/"), host)
        for host in (
            "id.example",
            "192.0.2.1",
            "[2001:db8::1]",
            "0.0.0.0",
            "localhost.example",
            "127.0.0.1.example",
        ):
            self.assertFalse(is_secure(f"http://{host}/"), host)

    def test_another_scheme_or_none_is_not(self) -> None:
        for url in (
            "ftp://localhost/",
            "//id.example/",
            "id.example",
            "mailto:a@b",
            "file:///x",
            "",
        ):
            self.assertFalse(is_secure(url), url)

    def test_an_address_without_a_host_is_none(self) -> None:
        for url in ("https://", "https:///path", "https://:443/"):
            self.assertFalse(is_secure(url), url)

    def test_what_could_mislead_a_reader_about_the_host_is_refused(self) -> None:
        for url in (
            "https://id.example@evil.example/",
            "https://@evil.example/",
            "https://user:secret@id.example/",
            "https://id.example/#part",
        ):
            self.assertFalse(is_secure(url), url)

    def test_a_malformed_port_or_address_is_refused(self) -> None:
        for url in ("https://id.example:port/", "https://id.example:70000/", "https://[::1/"):
            self.assertFalse(is_secure(url), url)

    @given(some.text())
    def test_no_text_breaks_it(self, text: str) -> None:
        self.assertIn(is_secure(text), (True, False))
        self.assertFalse(is_secure(f"http://id.example/{text}"))
