# SPDX-License-Identifier: BSD-2-Clause
"""The event stream of real daemons has no gaps and no duplicates, whatever is killed."""

from __future__ import annotations

import contextlib
import json

from ganeti.errors import GanetiError
from ganeti.luxi.methods import SubmitJob, WaitForEvents
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from tests.system.event_reader import EventReader, expected
from tests.system.running import SharedCluster, eventually
from tests.system.talking import NodeEndpoint

JOBS = 40


class EventTests(SharedCluster):
    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)
        self.door = NodeEndpoint(self.running)

    def reader(self, query: str = "") -> EventReader:
        since = self.running.ask(WaitForEvents())["position"]
        reader = EventReader(lambda: self.running.cluster.rapi, self.door, since, query)
        self.addCleanup(reader.end)
        reader.start()
        eventually(lambda: reader.connections)
        return reader

    def submit(self, count: int) -> None:
        with self.running.client() as client:
            for _ in range(count):
                with contextlib.suppress(GanetiError):
                    client.ask(SubmitJob(ops=(Delay(duration=0.0),)))

    def restart(self, kind: str) -> None:
        self.running.kill(kind)
        self.running.daemon(kind).start()

    def test_a_change_is_told_with_who_made_it(self) -> None:
        since = self.running.ask(WaitForEvents())["position"]
        self.running.perform(AddTags(kind=TagKind.INSTANCE, name="first.trial", tags=("seen",)))
        done = self.running.tool(
            *("cluster", "watch", "--no-wait", "-o", "json"),
            *("--since", since, "--kind", "instance"),
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        # On a busy host, the master may see only now that the guest was started: that is an event
        # of the instance, too, but nobody has made it.
        [event] = [each for each in events if "who" in each]
        self.assertEqual((event["name"], event["tags"]), ("first.trial", ["seen"]))
        self.assertIsInstance(event["job"], int)

    def test_killed_daemons_leave_no_gap(self) -> None:
        reader = self.reader()
        for kind in ("rapi", "masterd", "rapi", "masterd"):
            self.submit(JOBS)
            self.restart(kind)
        self.submit(JOBS)
        eventually(lambda: reader.committed() == expected(self.running, 1, reader.since))
        self.assertEqual(reader.notices, [])
        self.assertGreaterEqual(reader.connections, 3)
        self.assertGreaterEqual(len(reader.seen), 5 * JOBS * 3)
