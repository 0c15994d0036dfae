# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster notify`` makes, shows, tests and removes notifications."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster import notification_actions
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.session import ExitTool
from ganeti.errors import Failed
from ganeti.luxi.methods import QueryNotifications, TestNotification
from ganeti.opcodes.notifications import AddNotification, ModifyNotification, RemoveNotification
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, arguments

ROW: dict[str, Any] = {
    "name": "chat",
    "url": "https://hooks.example/",
    "enabled": True,
    "kinds": ["job"],
    "names": [],
    "tags": ["web"],
    "ca_certificates": False,
    "created": 1,
    "comment": "",
    "position": "7.1",
    "lag": 3,
    "failing_since": None,
    "error": "",
}


class NotifyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal({QueryNotifications: [ROW], TestNotification: lambda _: None})

    def notify(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "notify", *words)

    def made(self) -> Opcode:
        return replace(self.terminal.job(), reason=())

    def test_a_webhook_gets_a_secret_that_is_printed_once(self) -> None:
        options = ("--kind", "job", "--kind", "instance", "--tag", "web")
        self.assertEqual(self.notify("add", *options, "chat", "https://hooks.example/"), 0)
        made = self.made()
        assert isinstance(made, AddNotification)
        self.assertEqual((made.kinds, made.tags), (("job", "instance"), ("web",)))
        self.assertEqual(self.terminal.out, f"{made.secret}\n")
        self.assertTrue(self.terminal.out.startswith("whsec_"))

    def test_a_given_secret_is_read_from_standard_input_and_not_printed(self) -> None:
        self.terminal.stdin = "a secret of enough characters\n"
        self.assertEqual(self.notify("add", "--secret-file=-", "chat", "https://hooks.example/"), 0)
        self.assertEqual(self.terminal.out, "")
        self.assertEqual(getattr(self.made(), "secret", ""), "a secret of enough characters")

    def test_mail_needs_no_secret(self) -> None:
        self.assertEqual(self.notify("add", "--disabled", "ops", "mailto:root"), 0)
        expected = AddNotification(notification_name="ops", url="mailto:root", enabled=False)
        self.assertEqual((self.made(), self.terminal.out), (expected, ""))

    def test_certificates_are_copied_from_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("-----BEGIN CERTIFICATE-----\n")
        self.notify("add", f"--ca-file={path}", "chat", "https://hooks.example/")
        self.assertEqual(getattr(self.made(), "authority", ""), path.read_text())
        self.assertEqual(self.notify("add", "--ca-file=/none", "chat", "https://x.example/"), 1)
        self.assertIn("cannot read /none", self.terminal.err)

    def test_modify_sends_only_what_was_given(self) -> None:
        self.assertEqual(self.notify("modify", "--disable", "--skip-pending", "chat"), 0)
        expected = ModifyNotification(notification_name="chat", enabled=False, skip_pending=True)
        self.assertEqual(self.made(), expected)

    def test_the_selection_is_replaced(self) -> None:
        self.notify("modify", "--all-events", "--kind", "node", "--host-ca", "chat")
        expected = ModifyNotification(
            notification_name="chat", kinds=("node",), names=(), tags=(), authority=""
        )
        self.assertEqual(self.made(), expected)

    def test_a_new_secret_is_printed(self) -> None:
        self.notify("modify", "--new-secret", "chat")
        self.assertEqual(self.terminal.out, f"{getattr(self.made(), 'secret', None)}\n")

    def test_one_is_removed_after_confirmation(self) -> None:
        self.terminal.answers = ["y"]
        self.assertEqual(self.notify("remove", "chat"), 0)
        self.assertEqual(self.made(), RemoveNotification(notification_name="chat"))

    def test_the_list_shows_status_lag_and_selection(self) -> None:
        self.assertEqual(self.notify("list", "--separator", "|"), 0)
        self.assertEqual(
            self.terminal.out,
            "Name|Status|Lag|Events|Receiver\nchat|ok|3|kind=job,tag=web|https://hooks.example/\n",
        )

    def test_details_have_the_error(self) -> None:
        failing = {**ROW, "failing_since": 1, "error": "HTTP status 500"}
        self.terminal.canned[QueryNotifications] = [failing]
        self.assertEqual(self.notify("show", "chat"), 0)
        self.assertIn("error: HTTP status 500", self.terminal.out)
        self.assertIn("status: failing", self.terminal.out)
        self.assertEqual(self.notify("info", "-o", "json", "chat"), 0)
        self.assertEqual(json.loads(self.terminal.out), [failing])
        self.assertEqual(self.notify("info", "none"), 1)
        self.assertIn("see gnt-cluster notify list", self.terminal.err)

    def test_a_test_says_whether_the_receiver_accepts_events(self) -> None:
        self.assertEqual(self.notify("test", "chat"), 0)
        self.assertIn("has accepted", self.terminal.err)
        self.terminal.canned[TestNotification] = Failed("connection refused")
        self.assertEqual(self.notify("test", "chat"), 1)
        self.assertIn("connection refused", self.terminal.err)

    def call(self, action: Any, **values: Any) -> int:
        given = arguments(**values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def test_a_secret_is_printed_before_a_job_that_is_not_waited_for(self) -> None:
        for action, values in (
            (notification_actions.add, {"url": "https://hooks.example/"}),
            (notification_actions.modify, {"new_secret": True}),
        ):
            self.call(action, notification_name="chat", submit=True, **values)
            secret = getattr(self.made(), "secret", None)
            self.assertEqual(self.terminal.out, f"{secret}\n")

    def test_a_modification_without_a_new_secret_sends_none(self) -> None:
        self.call(notification_actions.modify, notification_name="chat", note="x")
        wanted = ModifyNotification(notification_name="chat", note="x")
        self.assertEqual((self.made(), self.terminal.out), (wanted, ""))

    def test_a_file_that_is_no_text_is_no_certificate(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"\x30\x82\xff")
        with self.assertRaisesRegex(ExitTool, f"cannot read {path}: it is not a PEM file"):
            self.call(
                notification_actions.add,
                notification_name="chat",
                url="https://hooks.example/",
                ca_file=str(path),
            )
        self.assertEqual(self.terminal.asked(), [])

    def test_a_disabled_one_is_not_failing(self) -> None:
        rows = [
            {**ROW, "enabled": False, "failing_since": 1, "kinds": [], "tags": []},
            {**ROW, "name": "ops", "failing_since": 1},
        ]
        self.terminal.canned[QueryNotifications] = rows
        self.call(notification_actions.show_list, separator="|", no_headers=True)
        disabled, failing = self.terminal.out.splitlines()
        self.assertEqual(disabled, "chat|disabled|3|all|https://hooks.example/")
        self.assertTrue(failing.startswith("ops|failing|3|"))

    def test_programs_get_the_list_as_it_is(self) -> None:
        self.call(notification_actions.show_list, output="json")
        self.assertEqual(json.loads(self.terminal.out), [ROW])

    def test_details_of_all_are_shown_if_none_is_named(self) -> None:
        self.terminal.canned[QueryNotifications] = [ROW, {**ROW, "name": "ops"}]
        self.call(notification_actions.info)
        self.assertIn("\nops:\n", self.terminal.out)
        self.assertIn("  error: '-'\n", self.terminal.out)
        self.call(notification_actions.info, names=["ops"])
        self.assertTrue(self.terminal.out.startswith("ops:\n"))
        self.assertNotIn("chat:", self.terminal.out)
