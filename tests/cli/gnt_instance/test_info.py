# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-instance info`` tells of a guest beside the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.info import parameters, told
from ganeti.model.disk import Template
from ganeti.testing.builders import a_cluster, a_disk, a_network, a_nic, an_instance, uuid_of
from tests.operations.whole import WholeCluster


class RunningTests(SynchronousTestCase):
    def facts(self, **over: Any) -> Mapping[str, Any]:
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
            "forwards": ["127.0.0.1:40123 to port 22", "127.0.0.1:40124 to port 80"],
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
                "forwarded ports": "127.0.0.1:40123 to port 22, 127.0.0.1:40124 to port 80",
            },
        )
        waiting = [
            "be/vcpus: 1 now, 2 after restart",
            "nic/1: none now, aa:00:10:00:00:01 after restart",
        ]
        self.assertEqual(shown["Changes at the next start"], waiting)

    def test_a_stopped_guest_runs_with_nothing(self) -> None:
        self.assertNotIn("Running with", self.facts())


class ToldTests(SynchronousTestCase):
    """An instance with a mirrored disk and a card in a network, on nodes in memory."""

    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        card = a_nic("web1/0", network=uuid_of("network", "lan"), ip="192.0.2.9")
        web1 = an_instance("web1", disks=[disk], nics=(card,))
        state = a_cluster(nodes=["node1", "node2"], networks=[a_network("lan")], instances=[web1])
        ask = WholeCluster(state).do("OP_INSTANCE_QUERY_DATA", instances=["web1"])
        self.facts = self.successResultOf(Deferred.fromCoroutine(ask))["web1"]

    def disk(self, **over: Any) -> Mapping[str, Any]:
        [disk] = self.facts["disks"]
        [shown] = told({**self.facts, "disks": [{**disk, **over}]})["Disks"]
        return dict(shown)

    def test_a_mirrored_disk_has_two_ends_and_what_it_is_made_of(self) -> None:
        shown = self.disk(name="data")
        self.assertEqual((shown["disk/0"], shown["name"]), ("drbd, size 1.0G", "data"))
        ends = (shown["nodeA"], shown["nodeB"], shown["port"])
        self.assertEqual(ends, ("node1, minor=0", "node2, minor=0", 11000))
        data, meta = shown["child devices"]
        self.assertEqual(
            (data["child 0"], meta["child 1"]), ("plain, size 1.0G", "plain, size 128M")
        )
        self.assertNotIn("on primary", shown)

    def test_the_status_of_each_copy_is_in_words(self) -> None:
        device = ["/dev/drbd0", 147, 0]
        shown = self.disk(
            pstatus=[*device, 41.256, 90, True, 2], sstatus=[*device, None, None, True, 4]
        )
        at = "/dev/drbd0 (147:0)"
        syncing = f"{at} RECOVERING 41.26%, ETA 90 s, local disk syncing"
        self.assertEqual(shown["on primary"], syncing)
        self.assertEqual(shown["on secondary"], f"{at} *DEGRADED*, local disk faulty")
        shown = self.disk(pstatus=[*device, 41.256, None, True, 1], sstatus=[None] * 5 + [False, 1])
        self.assertEqual(shown["on primary"], f"{at} RECOVERING 41.26%, ETA unknown")
        self.assertEqual(shown["on secondary"], "in sync")

    def test_a_card_names_its_network(self) -> None:
        [card] = told(self.facts)["NICs"]
        self.assertEqual((card["IP"], card["network"]), ("192.0.2.9", "lan"))

    def test_the_rules_of_a_card_are_shown_if_it_has_any(self) -> None:
        rules = {"anti_spoofing": True, "firewall": "tcp:22", "bandwidth_in": 100}
        [card] = told({**self.facts, "nic_rules": [rules]})["NICs"]
        expected = ("yes", "tcp:22", "100 Mbit/s")
        self.assertEqual(tuple(card[name] for name in rules), expected)
        self.assertNotIn("firewall", told(self.facts)["NICs"][0])

    def test_its_state_is_what_is_wanted_and_what_is(self) -> None:
        self.assertEqual(told(self.facts)["State"], "configured to be up, actual state is down")
        static = told({**self.facts, "run_state": None})["State"]
        self.assertEqual(static, "configured to be up")

    def test_parameters_say_which_are_defaults(self) -> None:
        actual = {"boot": "cd", "cpus": [0, 1], "tap": None, "usb": ["a", "b"]}
        self.assertEqual(
            parameters({"boot": "cd", "cpus": [0, 1]}, actual),
            {"boot": "cd", "cpus": "0,1", "tap": "default ()", "usb": "default (a,b)"},
        )
