# SPDX-License-Identifier: BSD-2-Clause
"""What is configured, what runs, and which of the two each operation goes by."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.operations.allocation.candidates import candidates
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from tests.operations.whole import WholeCluster

BIGGER = {"minmem": 256, "maxmem": 256, "vcpus": 2}
OBJECTION = {"machine_version": "QEMU 7.2.0 has no machine type pc-9"}


class PendingTests(SynchronousTestCase):
    def whole(self, *disks: Any, **over: Any) -> WholeCluster:
        web1 = an_instance("web1", disks=disks, **over)
        whole = WholeCluster(a_cluster(nodes=["node1", "node2"], instances=[web1]))
        self.successResultOf(Deferred.fromCoroutine(whole.make_disks("web1")))
        self.successResultOf(whole.start("web1"))
        return whole

    def do(self, whole: WholeCluster, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(whole.do(op_id, instance_name="web1", **fields))

    def refusal(self, whole: WholeCluster, op_id: str, **fields: Any) -> str:
        failure = self.failureResultOf(whole.do(op_id, instance_name="web1", **fields), Refused)
        return str(failure.value)

    def running(self, whole: WholeCluster, node: str = "node1") -> tuple[int, int]:
        state = whole.guests[node].running()["web1"]
        return state.memory, state.vcpus

    def test_a_change_of_a_running_instance_says_when_it_takes_effect(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams=BIGGER, nics=[["add", -1, {}]])
        self.assertIn(
            "at its next start these take effect: be/maxmem: 128 now, 256 after restart", whole.said
        )
        self.assertIn("nic/1: none now, aa:00:10", whole.said)
        self.assertIn("gnt-instance reboot web1", whole.said)
        self.assertEqual(self.running(whole), (128, 1))

    def test_what_takes_effect_at_once_is_not_said_to_wait(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams={"auto_balance": False})
        self.assertEqual(whole.said, "")

    def with_cd(self) -> WholeCluster:
        web1 = an_instance("web1", hypervisor="kvm", hvparams={"cdrom_image_path": "/a.iso"})
        kvm = {"kvm": {"kernel_path": "", "vnc_bind_address": "127.0.0.1"}}
        whole = WholeCluster(a_cluster(instances=[web1], hvparams=kvm))
        self.successResultOf(whole.start("web1"))
        return whole

    def test_another_cd_is_put_into_the_drive_of_the_running_guest(self) -> None:
        whole = self.with_cd()
        self.do(whole, "OP_INSTANCE_SET_PARAMS", hvparams={"keymap": "de"})
        self.assertNotIn(("change media", "web1"), whole.kvm["node1"].asked)
        self.do(whole, "OP_INSTANCE_SET_PARAMS", hvparams={"cdrom_image_path": "/b.iso"})
        self.assertIn(("change media", "web1"), whole.kvm["node1"].asked)

    def test_a_drive_that_is_locked_is_told_and_the_configuration_is_changed(self) -> None:
        whole = self.with_cd()
        whole.kvm["node1"].stubborn.add("web1")
        self.do(whole, "OP_INSTANCE_SET_PARAMS", hvparams={"cdrom_image_path": "/b.iso"})
        self.assertIn(
            "the CD of the running instance web1 was not changed: node1: web1 has", whole.said
        )
        self.assertIn("hv/cdrom_image_path: /a.iso now, /b.iso after restart", whole.said)
        web1 = whole.state.instance("web1")
        self.assertEqual(web1.hvparams["cdrom_image_path"], "/b.iso")

    def test_a_locked_drive_is_changed_by_force(self) -> None:
        whole = self.with_cd()
        whole.kvm["node1"].stubborn.add("web1")
        parameters = {"cdrom_image_path": ""}
        self.do(whole, "OP_INSTANCE_SET_PARAMS", hvparams=parameters, force=True)
        self.assertNotIn("was not changed", whole.said)

    def test_a_description_has_what_runs_beside_what_is_configured(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams=BIGGER)
        for static in (False, True):
            work = whole.do("OP_INSTANCE_QUERY_DATA", instances=["web1"], static=static)
            facts = self.successResultOf(work)["web1"]
            self.assertEqual(facts["be_actual"]["maxmem"], 256)
            running = {
                "memory": 128,
                "vcpus": 1,
                "version": "1.0",
                "chosen": {},
                "forwards": (),
                "pending": [["be/maxmem", 128, 256], ["be/vcpus", 1, 2]],
            }
            self.assertEqual(facts["running"], None if static else running)

    def test_a_stopped_instance_has_nothing_that_waits(self) -> None:
        whole = self.whole()
        self.do(whole, "OP_INSTANCE_SHUTDOWN")
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams=BIGGER)
        self.assertNotIn("next start", whole.said)

    def test_a_soft_reboot_keeps_what_runs_and_the_others_take_what_is_configured(self) -> None:
        for kind, expected in (("soft", (128, 1)), ("hard", (256, 2)), ("full", (256, 2))):
            whole = self.whole()
            self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams=BIGGER)
            whole.memory.progress.said.clear()
            self.do(whole, "OP_INSTANCE_REBOOT", reboot_type=kind)
            self.assertEqual(self.running(whole), expected)
            self.assertEqual("be/vcpus: 1 now, 2 after restart" in whole.said, kind == "soft")

    def test_what_would_not_start_again_is_not_stopped(self) -> None:
        for op_id, fields in (
            ("OP_INSTANCE_REBOOT", {"reboot_type": "hard"}),
            ("OP_INSTANCE_REBOOT", {"reboot_type": "full"}),
            ("OP_INSTANCE_FAILOVER", {"target_node": "node2"}),
        ):
            whole = self.whole()
            for guests in whole.guests.values():
                guests.objections = OBJECTION
            self.assertIn("cannot run: ", self.refusal(whole, op_id, **fields))
            self.assertEqual(whole.where("web1"), ["node1"])
            self.assertNotIn(("stop", "web1"), whole.guests["node1"].asked)

    def test_a_copy_to_a_node_that_cannot_run_it_is_not_begun(self) -> None:
        whole = self.whole(a_disk("web1/0", Template.PLAIN))
        whole.guests["node2"].objections = OBJECTION
        told = self.refusal(whole, "OP_INSTANCE_MOVE", target_node="node2")
        self.assertIn("cannot run: node2: machine_version", told)
        self.assertEqual((whole.where("web1"), whole.volumes["node2"].held), (["node1"], {}))

    def test_a_disk_that_the_guest_does_not_have_yet_can_be_removed_again(self) -> None:
        whole = self.whole(a_disk("web1/0", Template.PLAIN))
        self.do(whole, "OP_INSTANCE_SET_PARAMS", disks=[["add", -1, {"size": 64}]])
        told = self.refusal(whole, "OP_INSTANCE_SET_PARAMS", disks=[["remove", 0, {}]])
        self.assertIn("web1 is running with the disk; stop it first", told)
        self.do(whole, "OP_INSTANCE_SET_PARAMS", disks=[["remove", 1, {}]])
        self.assertEqual(len(whole.volumes["node1"].held), 1)

    def test_new_cards_and_disks_are_checked_by_the_node(self) -> None:
        whole = self.whole(a_disk("web1/0", Template.PLAIN))
        whole.guests["node1"].objections = {"nics/1": "this node has no bridge br7"}
        for fields in (
            {"nics": [["add", -1, {"link": "br7"}]]},
            {"disks": [["add", -1, {"size": 64}]]},
        ):
            told = self.refusal(whole, "OP_INSTANCE_SET_PARAMS", **fields)
            self.assertIn("node1: nics/1: this node has no bridge br7", told)
        self.do(whole, "OP_INSTANCE_SET_PARAMS", beparams={"auto_balance": False})
        web1 = whole.state.instance("web1")
        self.assertEqual((len(web1.nics), len(web1.disks)), (1, 1))


class PlacementTests(SynchronousTestCase):
    def vcpus(self, configured: int, running: int | None) -> int:
        web1 = an_instance("web1", hypervisor="kvm", beparams={"vcpus": configured})
        state = a_cluster(nodes=[a_node("node1")], instances=[web1])
        guests = (
            {} if running is None else {"web1": GuestState(name="web1", memory=128, vcpus=running)}
        )
        facts = replace(some_facts(), guests=guests)
        [node] = state.nodes.values()
        [candidate] = candidates([node], Template.DISKLESS, state, lambda _: facts)
        return candidate.vcpus

    def test_processors_of_a_node_are_those_that_run_or_will_at_the_next_start(self) -> None:
        self.assertEqual([self.vcpus(2, None), self.vcpus(2, 4), self.vcpus(2, 1)], [2, 4, 2])
