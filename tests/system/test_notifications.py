# SPDX-License-Identifier: BSD-2-Clause
"""Notifications of real daemons arrive in order and without gaps, whatever fails or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from ganeti.bootstrap.blocking_files import local_files
from ganeti.cli.session import INTERRUPTED
from ganeti.config.state import RecordKind
from ganeti.events.event import EventKind
from ganeti.events.stream_position import STREAM_START, StreamPosition
from ganeti.journal.interfaces import Put
from ganeti.journal.log_reader import history
from ganeti.luxi.methods import SubmitJob
from ganeti.master.change_events import CommitEntry
from ganeti.opcodes.notifications import RemoveNotification
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from tests.system.running import TIMEOUT, SharedCluster, eventually
from tools.quickstart.place import TREE

JOBS = 20


class NotificationTests(SharedCluster):
    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "accepted").touch()
        self.behave("accept")

    def behave(self, how: str) -> None:
        (self.folder / "behavior").write_text(how)

    def start_receiver(self, port: int = 0) -> int:
        """Start the receiver; return its port."""
        (self.folder / "port").unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "tests.system.webhook_receiver"]
        self.receiver = subprocess.Popen(
            [*command, str(self.folder), str(port)], env={**os.environ, "PYTHONPATH": str(TREE)}
        )
        self.addCleanup(self.stop_receiver, self.receiver)
        found = self.folder / "port"
        return int(eventually(lambda: found.exists() and found.read_text()))

    def stop_receiver(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.kill()
        process.wait(TIMEOUT)

    def add(self, *arguments: str) -> str:
        """Add a notification; return what is printed."""
        done = self.running.tool("cluster", "notify", "add", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.running.perform, RemoveNotification(notification_name=arguments[-2]))
        return done.stdout

    def submit(self, count: int) -> None:
        with self.running.client() as client:
            for _ in range(count):
                client.ask(SubmitJob(ops=(Delay(duration=0.0),)))

    def accepted(self) -> list[str]:
        """The IDs of the messages that were accepted, in order, each the first time."""
        lines = (self.folder / "accepted").read_text().splitlines()
        words = [line.split() for line in lines]
        self.assertNotIn("forged", {kind for _, kind in words})
        return list(dict.fromkeys(number for number, kind in words if kind == "job"))

    def kill_master(self) -> None:
        self.running.kill("masterd")
        self.running.daemon("masterd").start()

    def test_a_receiver_that_fails_hangs_and_dies_gets_every_event_in_order(self) -> None:
        port = self.start_receiver()
        since = self.add_webhook("chat", f"http://127.0.0.1:{port}/hook")
        self.submit(JOBS)
        self.behave("fail")
        self.submit(JOBS)
        self.kill_master()
        self.behave("hang")
        self.submit(JOBS)
        self.kill_master()
        self.stop_receiver(self.receiver)
        self.submit(JOBS)
        self.behave("accept")
        self.start_receiver(port)
        self.submit(JOBS)
        self.try_again("chat")
        eventually(lambda: self.accepted() == self.job_events(since))
        self.assertGreaterEqual(len(self.accepted()), 5 * JOBS * 3)

    def test_a_receiver_that_is_down_is_reported_and_tested(self) -> None:
        port = self.start_receiver()
        self.add_webhook("down", f"http://127.0.0.1:{port}/")
        self.assertEqual(self.notify("test", "down").returncode, 0)
        self.stop_receiver(self.receiver)
        tested = self.notify("test", "down")
        self.assertEqual(tested.returncode, 1)
        self.assertIn("down could not be delivered: connection refused", tested.stderr)
        self.submit(1)
        eventually(lambda: "failing" in self.notify("list").stdout)

    def test_mail_is_handed_over_to_the_local_mail_system(self) -> None:
        mail = self.folder / "mail"
        program = self.folder / "sendmail"
        program.write_text(
            f'#!/bin/sh\necho "$@" > {mail}.part\ncat >> {mail}.part\nmv {mail}.part {mail}\n'
        )
        program.chmod(0o755)
        self.running.kill("masterd")
        self.running.daemon("masterd").start("--sendmail", str(program))
        self.add("--kind", "instance", "ops", "mailto:root")
        self.running.perform(AddTags(kind=TagKind.INSTANCE, name="first.trial", tags=("mail",)))
        arguments, head, *_ = eventually(lambda: mail.exists() and mail.read_text()).splitlines()
        self.assertEqual((arguments, head), ("-t -i", "To: root"))
        self.assertIn("instance first.trial changed by job", mail.read_text())

    def test_a_list_follows_the_cluster_through_a_restart_of_the_master(self) -> None:
        # Shells start commands in the background with this signal ignored, perhaps the tests, too.
        command = ["env", "--default-signal=INT"]
        command += [str(self.running.cluster.tools / "gnt-instance"), "list", "--watch"]
        command += ["--no-headers", "-o", "name,tags"]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        for end in (watching.stdout.close, watching.wait, watching.kill):
            self.addCleanup(end)
        self.assertIn("first.trial", watching.stdout.readline())
        self.kill_master()
        self.running.perform(AddTags(kind=TagKind.INSTANCE, name="first.trial", tags=("new",)))
        self.assertIn("new", watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(TIMEOUT), INTERRUPTED)

    def notify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.running.tool("cluster", "notify", *arguments)

    def add_webhook(self, name: str, url: str) -> str:
        """Add a webhook for events of jobs; return the position that it begins at."""
        secret = self.folder / "secret"
        secret.write_text("whsec_" + "QUJD" * 10)
        self.assertEqual(self.add("--kind", "job", "--secret-file", str(secret), name, url), "")
        return first_position(self.running.cluster.master.paths.journal, name)

    def try_again(self, name: str) -> None:
        """Have a delivery try again at once, which a successful test does."""
        self.assertEqual(self.notify("test", name).returncode, 0)

    def job_events(self, since: str) -> list[str]:
        """The IDs of all events of jobs that the journal has after a position."""
        folder = self.running.cluster.master.paths.journal
        return [
            str(event.cursor)
            for position, commit in history(local_files(), folder)
            for event in CommitEntry(position, commit, {}, lambda _: None).events(STREAM_START, 999)
            if event.kind == EventKind.JOB and event.cursor > StreamPosition.parse(since)
        ]


def first_position(folder: str, name: str) -> str:
    """Return the position that was recorded when a notification was added."""
    for _, commit in history(local_files(), folder):
        for edit in commit.edits:
            if edit.kind == RecordKind.NOTIFICATION_PROGRESS and edit.key == name:
                assert isinstance(edit, Put)
                return str(json.loads(bytes(edit.value))["position"])
    raise AssertionError(f"no position of {name} is in the journal")
