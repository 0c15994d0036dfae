# SPDX-License-Identifier: BSD-2-Clause
"""Changed hypervisor parameters are tried on the nodes, unchanged ones are not."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.cluster import Cluster
from ganeti.operations.cluster.hypervisor_check import list_checks, require_able
from ganeti.rpc.node import ValidateHypervisor
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.tools import MemoryTools

BEFORE: dict[str, Any] = {
    "enabled_hypervisors": ("fake", "kvm"),
    "hvparams": {"kvm": {"acpi": True, "keymap": "de"}},
    "os_hvp": {"noop": {"kvm": {"boot_order": "disk"}}},
}


def cluster(**over: Any) -> Cluster:
    return a_cluster(**{**BEFORE, **over}).cluster


class ListTests(SynchronousTestCase):
    def checks(self, **over: Any) -> list[ValidateHypervisor]:
        return list(list_checks(cluster(), cluster(**over)))

    def test_nothing_changed_is_nothing_to_check(self) -> None:
        self.assertEqual(self.checks(), [])

    def test_all_parameters_are_sent_and_only_problems_of_changed_ones_count(self) -> None:
        changed = {"kvm": {"acpi": True, "keymap": "fr", "vnc_tls": True}}
        [check] = self.checks(hvparams=changed)
        expected = ValidateHypervisor(
            hypervisor="kvm", hvparams=changed["kvm"], about=("keymap", "vnc_tls")
        )
        self.assertEqual(check, expected)

    def test_parameters_of_an_os_are_checked_on_top_of_the_clusters(self) -> None:
        [check] = self.checks(os_hvp={"noop": {"kvm": {"boot_order": "cdrom", "acpi": False}}})
        filled = {"acpi": False, "keymap": "de", "boot_order": "cdrom"}
        self.assertEqual((check.hvparams, check.about), (filled, ("boot_order", "acpi")))

    def test_a_parameter_that_is_removed_need_not_be_checked(self) -> None:
        self.assertEqual(self.checks(hvparams={"kvm": {"acpi": True}}, os_hvp={}), [])

    def test_a_hypervisor_that_is_not_enabled_is_not_asked(self) -> None:
        only = {"enabled_hypervisors": ("fake",)}
        changed = {"kvm": {"acpi": False}}
        self.assertEqual(self.checks(**only, hvparams=changed, os_hvp={"noop": changed}), [])

    def test_the_defaults_of_a_hypervisor_are_checked_when_they_are_first_set(self) -> None:
        before = cluster(enabled_hypervisors=("fake",), hvparams={}, os_hvp={})
        [check] = list_checks(before, cluster(os_hvp={}))
        self.assertEqual(check.about, ("acpi", "keymap"))


class NodeTests(SynchronousTestCase):
    """node1 and node2 can run guests; node3 is offline, and node4 runs none."""

    def setUp(self) -> None:
        nodes = [
            a_node("node1"),
            a_node("node2"),
            a_node("node3", offline=True),
            a_node("node4", vm_capable=False),
        ]
        self.memory = MemoryTools(a_cluster(nodes=nodes, **BEFORE))

    def check(self) -> Any:
        after = cluster(hvparams={"kvm": {"keymap": "fr"}})
        return require_able(cluster(), after, self.memory.state(), self.memory.tools)

    def test_every_node_that_runs_guests_is_asked(self) -> None:
        self.successResultOf(self.check())
        names = sorted(node for node, _ in self.memory.nodes.calls())
        self.assertEqual(names, ["node1", "node2"])

    def test_the_problems_of_all_nodes_are_reported(self) -> None:
        self.memory.nodes.answers[ValidateHypervisor] = lambda node, _: Failed(f"{node}: no fr")
        error = self.failureResultOf(self.check(), Refused).value
        expected = "guests with these parameters cannot run: node1: no fr; node2: no fr"
        self.assertEqual((str(error), error.code), (expected, Code.ENVIRONMENT))

    def test_a_node_that_is_down_may_be_fine(self) -> None:
        self.memory.nodes.gone = {"node2"}
        self.successResultOf(self.check())
        [message] = self.memory.progress.said
        self.assertIn("cannot check the parameters on node node2: node node2 is", message)
