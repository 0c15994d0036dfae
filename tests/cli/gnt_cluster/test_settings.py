# SPDX-License-Identifier: BSD-2-Clause
"""Several options become one field of a request that changes settings."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.settings import by_name, cluster_settings, settings
from ganeti.cli.session import ExitTool
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, arguments


class NameTests(SynchronousTestCase):
    def test_values_are_grouped_by_kind_and_name(self) -> None:
        given = [
            ("kvm", {"mem_node": "512"}),
            ("plain/vg0", {"disk_reserved": "1"}),
            ("plain/vg1", {"disk_reserved": "2"}),
        ]
        self.assertEqual(
            by_name(given),
            {
                "kvm": {"mem_node": "512"},
                "plain": {"vg0": {"disk_reserved": "1"}, "vg1": {"disk_reserved": "2"}},
            },
        )

    def test_the_name_has_everything_after_the_first_slash(self) -> None:
        given = [("file//srv/ganeti", {"disk_reserved": "1"})]
        self.assertEqual(by_name(given), {"file": {"/srv/ganeti": {"disk_reserved": "1"}}})

    def test_a_group_is_given_as_a_whole_or_by_its_names(self) -> None:
        whole, named = ("plain", False), ("plain/vg0", {"disk_reserved": "1"})
        for given in ([whole, named], [named, whole], [("plain", {"vg0": {}}), named]):
            with self.assertRaisesRegex(ExitTool, "plain and plain/vg0 exclude each other"):
                by_name(given)

    def test_a_group_that_is_removed_or_reset_keeps_its_value(self) -> None:
        self.assertEqual(by_name([("kvm", False), ("fake", None)]), {"kvm": False, "fake": None})


class SettingsTests(SynchronousTestCase):
    def test_only_what_was_given_is_changed(self) -> None:
        self.assertEqual(settings(arguments()), {})
        self.assertEqual(cluster_settings(arguments()), {})

    def test_states_and_a_policy_become_fields(self) -> None:
        given = arguments(
            hv_state=[("kvm", {"mem_node": "512"})],
            disk_state=[("plain/vg0", {"disk_reserved": "1"})],
            ipolicy_vcpus=4.0,
        )
        self.assertEqual(
            settings(given),
            {
                "hv_state": {"kvm": {"mem_node": "512"}},
                "disk_state": {"plain": {"vg0": {"disk_reserved": "1"}}},
                "ipolicy": {"vcpu-ratio": 4.0},
            },
        )
        self.assertEqual(cluster_settings(given), settings(given))


class CollectorTests(SynchronousTestCase):
    def test_intervals_are_whole_numbers(self) -> None:
        terminal = Terminal()
        words = ("--data-collector-interval", "lv=5000000,drbd=1")
        self.assertEqual(terminal.run(GNT_CLUSTER, "modify", *words), 0, terminal.err)
        wanted = ModifyCluster(data_collector_interval={"lv": 5_000_000, "drbd": 1})
        self.assertEqual(replace(terminal.job(), reason=()), wanted)
        words = ("--data-collector-interval", "lv=often")
        self.assertEqual(terminal.run(GNT_CLUSTER, "modify", *words), 1)
        self.assertIn("--data-collector-interval: values must be whole numbers", terminal.err)

    def test_collectors_are_switched_on_and_off(self) -> None:
        given = arguments(enabled_data_collectors={"lv": True, "drbd": False, "inst": "yes"})
        wanted = {"lv": True, "drbd": False, "inst": True}
        self.assertEqual(cluster_settings(given), {"enabled_data_collectors": wanted})

    def test_a_collector_is_on_or_off(self) -> None:
        given = arguments(enabled_data_collectors={"lv": "0", "drbd": "1", "inst": "False"})
        wanted = {"lv": False, "drbd": True, "inst": False}
        self.assertEqual(cluster_settings(given), {"enabled_data_collectors": wanted})
        for value in ("maybe", "", None):
            given = arguments(enabled_data_collectors={"lv": value})
            with self.assertRaisesRegex(
                ExitTool, "--enabled-data-collectors lv: must be yes or no"
            ):
                cluster_settings(given)

    def test_an_interval_without_a_value_is_refused(self) -> None:
        given = arguments(data_collector_interval={"lv": None})
        with self.assertRaisesRegex(ExitTool, "values must be whole numbers"):
            cluster_settings(given)
