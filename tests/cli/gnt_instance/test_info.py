# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-instance info`` tells of a guest beside the configuration."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.info import told
from ganeti.testing.builders import a_cluster, an_instance
from tests.operations.whole import WholeCluster


class RunningTests(SynchronousTestCase):
    def facts(self, **over: Any) -> dict[str, Any]:
        whole = WholeCluster(a_cluster(instances=[an_instance("web1")]))
        ask = whole.do("OP_INSTANCE_QUERY_DATA", instances=["web1"])
        facts = self.successResultOf(Deferred.fromCoroutine(ask))["web1"]
        return told({**facts, **over})

    def test_it_says_what_a_guest_runs_with_and_what_waits(self) -> None:
        running = {
            "memory": 128,
            "vcpus": 1,
            "version": "7.2.22",
            "chosen": {"machine_version": "pc-i440fx-7.2", "kvm_accel": "tcg", "cpu_type": ""},
            "pending": [["be/vcpus", 1, 2], ["nic/1", None, "aa:00:10:00:00:01"]],
        }
        shown = self.facts(running=running)
        self.assertEqual(
            shown["Running with"],
            {
                "memory": "128M",
                "vcpus": 1,
                "version": "7.2.22",
                "kvm_accel": "tcg",
                "machine_version": "pc-i440fx-7.2",
            },
        )
        waiting = ["be/vcpus: 1 now, 2 then", "nic/1: none now, aa:00:10:00:00:01 then"]
        self.assertEqual(shown["Changes at the next start"], waiting)

    def test_a_stopped_guest_runs_with_nothing(self) -> None:
        self.assertNotIn("Running with", self.facts())
