# SPDX-License-Identifier: BSD-2-Clause
"""Addresses of receivers and secrets are checked before they are stored."""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.notifications import (
    SECRET_BYTES,
    Notification,
    decode_secret,
    find_url_problem,
    generate_secret,
)


class UrlTests(SynchronousTestCase):
    def test_webhooks_may_be_anywhere(self) -> None:
        for url in ("https://hooks.example/x?key=1", "http://10.0.0.7:8080/", "https://[fd00::1]/"):
            self.assertIsNone(find_url_problem(url), url)

    def test_mail_may_go_to_several_addresses_and_local_users(self) -> None:
        for url in ("mailto:root", "mailto:ops+vm@example.org", "mailto:a@b.example,root"):
            self.assertIsNone(find_url_problem(url), url)

    def test_other_addresses_are_rejected_with_a_reason(self) -> None:
        for url, why in (
            ("ftp://example.org/", "must begin with"),
            ("https://", "must begin with"),
            ("https://example.org:port/", "is not a URL"),
            ("https://user:password@example.org/", "must not contain a user name"),
            ("https://example.org/#top", "fragment"),
            ("mailto:", "mail address"),
            ("mailto:-oQ/tmp", "mail address"),
            ("mailto:a@example.org?bcc=b@example.org", "mail address"),
            ("mailto:a@example.org\nBcc:b@example.org", "mail address"),
            ("mailto:" + ",".join(["root"] * 21), "at most 20"),
        ):
            self.assertIn(why, find_url_problem(url) or "", url)


class SecretTests(SynchronousTestCase):
    def test_a_generated_secret_is_decoded_to_its_bytes(self) -> None:
        secret = generate_secret(lambda count: bytes(range(count)))
        self.assertEqual(decode_secret(secret), bytes(range(SECRET_BYTES)))

    def test_other_text_is_a_secret_as_it_is(self) -> None:
        self.assertEqual(decode_secret("correct horse battery staple")[:7], b"correct")

    def test_short_and_malformed_secrets_are_rejected(self) -> None:
        short = "whsec_" + base64.b64encode(b"short").decode()
        for secret in ("hunter2", short, "whsec_" + "!" * 40):
            self.assertRaises(ValueError, decode_secret, secret)

    def test_a_notification_does_not_print_its_secret(self) -> None:
        shown = repr(Notification(uuid="chat", url="https://x.example/", created=1, secret="s3"))
        self.assertEqual(shown, "Notification(chat)")
