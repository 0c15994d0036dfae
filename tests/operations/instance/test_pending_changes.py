# SPDX-License-Identifier: BSD-2-Clause
"""The owner of a job learns which changes of a running instance wait for its next start."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.objects import update
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.running import running_config as start
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.pending_changes import report_pending, running_config
from ganeti.rpc.instances import DescribeRunning
from ganeti.testing.builders import a_cluster, a_guest, a_node
from ganeti.testing.tools import MemoryTools


class PendingChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = a_cluster(instances=["web1"])
        self.subject = standing(state.instance("web1"), state)
        self.running = start(make_guest(state, self.subject.instance), {}, "8.2")
        self.memory = MemoryTools(state, {DescribeRunning: lambda *_: self.running})

    def report(self) -> list[str]:
        self.successResultOf(report_pending(self.subject, self.memory.tools))
        return self.memory.progress.said

    def test_a_guest_with_the_configured_settings_has_none(self) -> None:
        self.assertEqual(self.report(), [])

    def test_each_change_is_named_with_the_command_that_applies_it(self) -> None:
        larger = update(self.subject.instance, beparams={"maxmem": 256, "vcpus": 2})
        self.successResultOf(self.memory.change(larger))
        [message] = self.report()
        changes = "be/maxmem: 128 now, 256 after restart, be/vcpus: 1 now, 2 after restart"
        self.assertIn(f"at its next start these take effect: {changes}; to restart", message)
        self.assertIn("gnt-instance reboot web1", message)

    def test_a_node_that_does_not_know_the_running_settings_is_no_failure(self) -> None:
        for error in (Failed("no record"), Refused("not running"), Unreachable("node1", "gone")):
            self.memory.nodes.answers[DescribeRunning] = error
            self.assertEqual(self.report(), [])
            asked = running_config(a_node("node1"), a_guest("web1"), self.memory.tools)
            self.assertIsNone(self.successResultOf(asked))

    def test_the_running_settings_are_those_that_the_node_returns(self) -> None:
        asked = running_config(a_node("node1"), a_guest("web1"), self.memory.tools)
        self.assertEqual(self.successResultOf(asked), self.running)
