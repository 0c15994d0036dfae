# SPDX-License-Identifier: BSD-2-Clause
"""UEFI variables and TPMs go with an instance; if they cannot, it goes without, as the job says."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2")
WEB1 = uuid_of("instance", "web1")


class VariablesTests(SynchronousTestCase):
    def whole(
        self, nodes: Any = NODES, *, firmware: str = "uefi", tpm: str = "", disks: int = 0
    ) -> WholeCluster:
        """An instance on the first node, whose variables are there."""
        built = an_instance(
            "web1",
            hypervisor="kvm",
            hvparams={"kvm_firmware": firmware, "kernel_path": "", "kvm_tpm": tpm},
            disks=[a_disk(f"web1/{index}", size=64) for index in range(disks)],
        )
        whole = WholeCluster(a_cluster(nodes=nodes, instances=[built]))
        self.successResultOf(Deferred.fromCoroutine(whole.make_disks("web1")))
        whole.kvm["node1"].variables[WEB1] = b"boot entries"
        return whole

    def do(self, whole: WholeCluster, tag: str, **fields: Any) -> Any:
        return self.successResultOf(
            Deferred.fromCoroutine(whole.do(tag, instance_name="web1", **fields))
        )

    def kept(self, whole: WholeCluster) -> dict[str, bytes]:
        """The variables of the instance by node."""
        found = {name: each.variables.get(WEB1) for name, each in whole.kvm.items()}
        return {name: content for name, content in found.items() if content is not None}

    def test_they_go_with_a_failover(self) -> None:
        whole = self.whole()
        whole.kvm["node2"].variables[WEB1] = b"of an earlier stay"
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(self.kept(whole), {"node2": b"boot entries"})

    def test_they_go_with_the_disks(self) -> None:
        whole = self.whole(disks=1)
        work = whole.do("OP_INSTANCE_MOVE", instance_name="web1", target_node="node2")
        moving = Deferred.fromCoroutine(work)
        whole.clock.pump([0.1] * 600)
        self.successResultOf(moving)
        self.assertEqual(self.kept(whole), {"node2": b"boot entries"})

    def test_a_guest_with_a_bios_has_none_to_copy(self) -> None:
        whole = self.whole(firmware="bios")
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertNotIn(("read firmware variables", "web1"), whole.kvm["node1"].asked)

    def test_an_instance_leaves_a_dead_node_without_them(self) -> None:
        nodes = [a_node("node2"), a_node("node1", offline=True)]
        whole = self.whole(nodes)
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(self.kept(whole), {"node1": b"boot entries"})
        self.assertIn(
            "node node1 is marked offline; instance web1 will start on node node2", whole.said
        )
        self.assertIn("without its boot entries, from EFI/BOOT/BOOTX64.EFI", whole.said)

    def test_what_cannot_be_copied_keeps_nothing_from_moving(self) -> None:
        whole = self.whole()
        whole.kvm["node1"].breaks_at = "read firmware variables"
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertEqual(list(whole.kvm["node2"].running()), ["web1"])
        self.assertIn("cannot copy the state of the firmware", whole.said)

    def test_a_lost_tpm_has_its_consequence(self) -> None:
        nodes = [a_node("node2"), a_node("node1", offline=True)]
        whole = self.whole(nodes, firmware="bios", tpm="2.0")
        self.do(whole, "OP_INSTANCE_FAILOVER", target_node="node2")
        self.assertIn("start on node node2 with a new TPM, without its keys", whole.said)
        self.assertNotIn("UEFI", whole.said)

    def test_nothing_is_left_of_an_instance_that_is_removed(self) -> None:
        whole = self.whole(firmware="bios")
        self.do(whole, "OP_INSTANCE_REMOVE")
        self.assertEqual(self.kept(whole), {})
