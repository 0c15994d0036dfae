# SPDX-License-Identifier: BSD-2-Clause
"""Mails list events, and nothing in an event can change their headers."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.events.event import EventAction
from ganeti.master.notifications.mail import MAX_LINES, Digest, build_mail, describe
from ganeti.model.notifications import Notification
from ganeti.testing.events import a_change

NOTIFICATION = Notification(uuid="ops", url="mailto:root,ann@example.org", created=1)


def digest_of(*names: str, **over: Any) -> Digest:
    digest = Digest()
    digest.add_events([a_change(n, name, **over) for n, name in enumerate(names, 1)])
    return digest


def mail_of(digest: Digest, cluster: str = "alpha") -> Any:
    made = build_mail(NOTIFICATION, digest, cluster=cluster, now=0.0, master="node1")
    return message_from_bytes(made, policy=default)


class MailTests(SynchronousTestCase):
    def test_the_subject_is_the_first_event_and_the_body_has_all(self) -> None:
        mail = mail_of(digest_of("web1", "web2", action=EventAction.CRASHED, node="node2"))
        self.assertEqual(mail["subject"], "[alpha] instance web1 crashed on node2, and 1 more")
        self.assertEqual(mail["to"], "root, ann@example.org")
        self.assertEqual(mail["auto-submitted"], "auto-generated")
        self.assertIn("1970-01-01 00:00:00Z instance web2 crashed on node2\n", mail.get_content())

    def test_further_events_are_counted(self) -> None:
        text = mail_of(digest_of(*(f"web{n}" for n in range(MAX_LINES + 30)))).get_content()
        self.assertEqual(text.count("instance web"), MAX_LINES)
        self.assertIn("30 more events:\n30 instance changed\n", text)

    def test_missing_events_are_mentioned(self) -> None:
        digest = Digest()
        digest.reset = True
        mail = mail_of(digest)
        self.assertEqual(mail["subject"], "[alpha] events are missing")
        self.assertIn("no longer kept", mail.get_content())

    def test_hostile_names_add_no_header_and_no_line(self) -> None:
        hostile = "web1\r\nBcc: eve@example.org\r\n\r\nx\u2028\x1b[2J"
        mail = mail_of(digest_of(hostile), cluster="al\r\nCc: eve@example.org\r\npha")
        self.assertNotIn("bcc", mail)
        self.assertNotIn("cc", mail)
        self.assertEqual(sorted(set(map(str.lower, mail.keys())))[0], "auto-submitted")
        self.assertNotIn("\nBcc", mail.get_content())
        self.assertNotIn("\x1b", mail.get_content())

    def test_long_and_foreign_names_are_sent(self) -> None:
        mail = mail_of(digest_of("ü" * 2000))
        self.assertIn("ü" * 100, mail.get_content())
        self.assertTrue(mail["subject"].endswith("…"))


class DescribeTests(SynchronousTestCase):
    def test_an_event_says_what_it_knows(self) -> None:
        plain = {"at": 0.0, "kind": "job", "name": "7", "action": "changed"}
        for more, words in (
            ({"value": {"status": "error", "summary": ["X(y)"]}}, "error X(y)"),
            ({"value": {"message": "a\nb"}}, "a?b"),
            ({"source": "node1", "node": "node2"}, "from node1 to node2"),
            ({"reason": "timed out"}, "timed out"),
            ({"job": 5, "who": "job", "why": "X"}, "by job 5: X"),
            ({"who": "master", "why": "term 2"}, "by master: term 2"),
        ):
            line = f"1970-01-01 00:00:00Z job 7 changed {words}"
            self.assertEqual(describe({**plain, **more}), line)
