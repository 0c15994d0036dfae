# SPDX-License-Identifier: BSD-2-Clause
"""Renaming instances, and changing what they are made of."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState, Instance
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from tests.operations.whole import WholeCluster


class ChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(instances=[web1, "web2"]))
        self.successResultOf(self.whole.make_disks("web1"))
        self.successResultOf(self.whole.start("web2"))

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def modify(self, **fields: Any) -> Any:
        return self.do("OP_INSTANCE_SET_PARAMS", **fields)

    def refusal(self, op_id: str, **fields: Any) -> list[Any]:
        working = self.whole.do(op_id, **{"instance_name": "web1", **fields})
        error = self.failureResultOf(working, Refused, Failed, Invalid).value
        assert isinstance(error, GanetiError)
        return error.arguments()

    def unmodified(self, **fields: Any) -> list[Any]:
        return self.refusal("OP_INSTANCE_SET_PARAMS", **fields)

    @property
    def web1(self) -> Instance:
        return self.whole.state.instance("web1")


class RenameTests(ChangeTests):
    def test_a_stopped_instance_gets_another_name(self) -> None:
        self.assertEqual(self.do("OP_INSTANCE_RENAME", new_name="shop1"), "shop1")
        self.assertFalse(self.whole.state.instances.get("web1"))
        self.assertEqual(self.whole.state.instance("shop1").uuid, self.web1_before)

    def test_it_may_be_given_the_name_that_it_has(self) -> None:
        self.assertEqual(self.do("OP_INSTANCE_RENAME", new_name="web1"), "web1")
        self.assertEqual(self.web1.uuid, self.web1_before)

    @property
    def web1_before(self) -> str:
        return an_instance("web1").instance.uuid

    def test_a_running_one_does_not(self) -> None:
        told, code = self.refusal("OP_INSTANCE_RENAME", instance_name="web2", new_name="web3")
        self.assertEqual(code, Code.STATE)
        self.assertIn("gnt-instance shutdown web2", told)

    def test_a_name_must_be_free_resolve_and_be_unused(self) -> None:
        names = self.whole.hosts["node1"].names
        names.unknown.add("nowhere")
        names.used.add("busy")
        for name, code in (
            ("web2", Code.EXISTS),
            ("nowhere", Code.RESOLVER),
            ("busy", Code.NOT_UNIQUE),
            ("a/b", Code.INPUT),
        ):
            with self.subTest(name=name):
                self.assertEqual(self.refusal("OP_INSTANCE_RENAME", new_name=name)[1], code)
        self.do("OP_INSTANCE_RENAME", new_name="busy", ip_check=False)

    def test_files_move_to_the_folder_of_the_new_name(self) -> None:
        top = "/srv/ganeti/shared-file-storage"
        disk = a_disk(
            "d", Template.SHAREDFILE, logical_id=("loop", f"{top}/web3/abc.sharedfile.disk0")
        )
        web3 = an_instance("web3", disks=[disk], admin_state=AdminState.DOWN)
        self.whole = WholeCluster(a_cluster(instances=[web3]))
        self.successResultOf(self.whole.make_disks("web3"))
        self.do("OP_INSTANCE_RENAME", instance_name="web3", new_name="web4")
        moved = f"{top}/web4/abc.sharedfile.disk0"
        [stored] = self.whole.state.disks.values()
        self.assertEqual(stored.logical_id, ("loop", moved))
        self.assertEqual(list(self.whole.volumes["node1"].held), [f"loop/{moved}"])


class ModifyTests(ChangeTests):
    def test_parameters_are_checked_kept_and_told(self) -> None:
        self.whole.hosts["node1"].list_os_parameters("noop", "size")
        rows = self.modify(beparams={"vcpus": "2", "memory": 256}, osparams={"size": "small"})
        self.assertEqual(rows, [["be/vcpus", "2"], ["be/memory", 256], ["os/size", "small"]])
        self.assertEqual(self.web1.beparams, {"vcpus": 2, "minmem": 256, "maxmem": 256})
        self.modify(beparams={"vcpus": "default"}, osparams={"size": "default"})
        self.assertEqual((self.web1.beparams.get("vcpus"), self.web1.osparams), (None, {}))

    def test_nonsense_is_refused_as_input(self) -> None:
        for fields in (
            {},
            {"beparams": {"vcpus": "many"}},
            {"beparams": {"minmem": 512, "maxmem": 256}},
            {"nics": [["add", -1, {"mac": "xx"}]]},
            {"disks": [["modify", 0, {"size": 10}]]},
            {"disks": [["attach", 0, {"uuid": "x"}]]},
            {"nics": [["add", 7, {}]]},
        ):
            with self.subTest(**fields):
                self.assertEqual(self.unmodified(**fields)[1], Code.INPUT)

    def test_the_policy_holds_unless_ignored(self) -> None:
        self.assertIn("99 virtual processors", self.unmodified(beparams={"vcpus": 99})[0])
        self.modify(beparams={"vcpus": 99}, ignore_ipolicy=True)

    def test_cards_come_change_and_go(self) -> None:
        self.modify(nics=[["add", -1, {"ip": "192.0.2.9"}], ["modify", 0, {"link": "br9"}]])
        first, second = self.web1.nics
        self.assertEqual((first.nicparams, second.ip), ({"link": "br9"}, "192.0.2.9"))
        self.assertTrue(second.mac.startswith("aa:00:10") and second.uuid)
        rows = self.modify(nics=[["remove", -1, {}]])
        self.assertEqual((rows, len(self.web1.nics)), ([["nic.1", "remove"]], 1))
        self.assertEqual(verify(self.whole.state), [])

    def test_a_mac_address_of_another_is_not_unique(self) -> None:
        mac = self.whole.state.instance("web2").nics[0].mac
        told, code = self.unmodified(nics=[["add", -1, {"mac": mac}]])
        self.assertEqual((code, "in use by instance web2" in told), (Code.NOT_UNIQUE, True))

    def test_disks_come_change_and_go(self) -> None:
        rows = self.modify(disks=[["add", -1, {"size": 64}], ["modify", 0, {"mode": "ro"}]])
        self.assertEqual(rows, [["disk/1", "add:size=64,mode=rw"], ["disk.mode/0", "ro"]])
        first, second = self.whole.state.get_disks(self.web1)
        self.assertEqual((first.mode, second.size, second.iv_name), ("ro", 64, "disk/1"))
        self.assertEqual(len(self.whole.volumes["node1"].held), 2)
        self.modify(disks=[["remove", 0, {}]])
        self.assertEqual(len(self.whole.volumes["node1"].held), 1)
        self.assertEqual(verify(self.whole.state), [])

    def test_a_disk_that_cannot_be_made_leaves_nothing(self) -> None:
        self.whole.volumes["node1"].room = 1100
        _, code = self.unmodified(disks=[["add", -1, {"size": 256}]])
        self.assertEqual((len(self.web1.disks), code), (1, Code.RESOURCES))

    def test_an_unknown_card_or_disk_is_an_unknown_entity(self) -> None:
        self.assertEqual(self.unmodified(nics=[["remove", 3, {}]])[1], Code.UNKNOWN)
        self.assertEqual(self.unmodified(disks=[["remove", "data", {}]])[1], Code.UNKNOWN)

    def test_only_what_stands_still_is_taken_out_of_use(self) -> None:
        _, code = self.unmodified(instance_name="web2", offline=True)
        self.assertEqual(code, Code.STATE)
        self.assertEqual(self.modify(offline=True), [["admin_state", "offline"]])
        self.assertIs(self.web1.admin_state, AdminState.OFFLINE)
        self.modify(offline=False)
        self.assertIs(self.web1.admin_state, AdminState.DOWN)

    def test_asking_for_the_state_that_it_has_succeeds(self) -> None:
        self.assertEqual(self.modify(offline=False), [["admin_state", "down"]])
        for _ in range(2):
            self.assertEqual(self.modify(offline=True), [["admin_state", "offline"]])
        self.assertIs(self.web1.admin_state, AdminState.OFFLINE)
        rows = self.modify(instance_name="web2", offline=False)
        self.assertEqual((rows, self.whole.where("web2")), ([["admin_state", "up"]], ["node1"]))

    def test_memory_that_its_node_has_not_is_refused_unless_forced(self) -> None:
        more = {"instance_name": "web2", "beparams": {"memory": 20000}}
        self.assertEqual(self.unmodified(**more)[1], Code.RESOURCES)
        self.modify(**more, force=True)
