# SPDX-License-Identifier: BSD-2-Clause
"""Changing the settings of the cluster, and its node groups."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import set_certificates
from ganeti.config.invariants import verify
from ganeti.errors import Code, GanetiError, Invalid, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.pki.authority import create_self_signed
from ganeti.pki.enrolment import fingerprint
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from tests.config.test_initial_state import WRONG_SETTINGS
from tests.operations.whole import WholeCluster

_SPECS = {
    "cpu-count": 1,
    "disk-count": 1,
    "disk-size": 1024,
    "memory-size": 128,
    "nic-count": 1,
    "spindle-use": 1,
}
_RANGE = {"min": _SPECS, "max": _SPECS}


class SettingTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        instances = [an_instance("db1", disks=[disk])]
        state = a_cluster(nodes=["node1", "node2"], groups=["default", "east"], instances=instances)
        self.whole = WholeCluster(state)

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **fields))

    def refusal(self, op_id: str, **fields: Any) -> list[Any]:
        error = self.failureResultOf(self.whole.do(op_id, **fields), Refused, Invalid).value
        assert isinstance(error, GanetiError)
        return error.arguments()

    @property
    def cluster(self) -> Cluster:
        return self.whole.state.cluster


class ClusterTests(SettingTests):
    def modify(self, **fields: Any) -> None:
        self.do("OP_CLUSTER_SET_PARAMS", **fields)
        self.assertEqual(verify(self.whole.state), [])

    def refused(self, **fields: Any) -> list[Any]:
        return self.refusal("OP_CLUSTER_SET_PARAMS", **fields)

    def test_defaults_are_merged_with_what_was_set_before(self) -> None:
        before = self.cluster.beparams["default"]
        self.modify(beparams={"memory": "1g"}, hvparams={"kvm": {"vnc_bind_address": "0.0.0.0"}})
        memory = {"minmem": 1024, "maxmem": 1024}
        self.assertEqual(self.cluster.beparams, {"default": {**before, **memory}})
        self.assertEqual(self.cluster.hvparams["kvm"]["vnc_bind_address"], "0.0.0.0")

    def test_hypervisor_parameters_must_be_such_that_nodes_can_run_guests(self) -> None:
        kvm = {"machine_version": "pc-9", "vnc_bind_address": "0.0.0.0"}
        self.whole.kvm["node2"].objections = {
            "machine_version": "QEMU 7.2.0 has no machine type pc-9",
            "kernel_path": "there is no /vmlinuz on this node",
        }
        for fields in ({"hvparams": {"kvm": kvm}}, {"os_hvp": {"noop": {"kvm": kvm}}}):
            told, code = self.refused(**fields)
            self.assertEqual(code, Code.ENVIRONMENT)
            self.assertIn("cannot run: node2: machine_version: QEMU 7.2.0 has no", told)
            # What was wrong before, and is not changed, is for the instances that have it.
            self.assertNotIn("kernel_path", told)
        self.modify(hvparams={"kvm": {"vnc_bind_address": "0.0.0.0"}})

    def test_a_silent_node_does_not_keep_parameters_from_being_set(self) -> None:
        self.whole.network.vanish("node2")
        self.modify(hvparams={"kvm": {"vnc_bind_address": "0.0.0.0"}})
        self.assertIn("cannot check the parameters on node node2", self.whole.said)

    def test_every_problem_is_told(self) -> None:
        told, code = self.refused(
            beparams={"vcpus": 0}, mac_prefix="01:00:00", hvparams={"qemu": {}}, reserved_lvs=["("]
        )
        self.assertEqual(code, Code.INPUT)
        for words in ("beparams/vcpus", "mac_prefix", "hvparams/qemu", "reserved_lvs[0]"):
            self.assertIn(words, told)

    def test_settings_are_what_they_are_in_a_new_cluster(self) -> None:
        given_as = {"drbd_usermode_helper": "drbd_helper", "volume_group_name": "vg_name"}
        for name, value in WRONG_SETTINGS.items():
            field = given_as.get(name, name)
            told, code = self.refused(**{field: value}, force=True)
            self.assertEqual(code, Code.INPUT)
            self.assertIn(f"{field}: must be", told)

    def test_guests_have_some_memory(self) -> None:
        told, _ = self.refused(beparams={"memory": 0})
        self.assertIn("beparams/minmem: must be greater than 0 MiB", told)

    def test_a_choice_in_a_list_is_told_with_what_there_is(self) -> None:
        told, _ = self.refused(ipolicy={"disk-templates": ["nosuch"]})
        self.assertIn("ipolicy/disk-templates[0]: must be one of diskless, file", told)

    def test_nothing_to_change_is_refused(self) -> None:
        self.assertEqual(self.refused()[1], Code.INPUT)

    def test_what_instances_need_stays(self) -> None:
        for fields in (
            {"enabled_hypervisors": ["kvm"]},
            {"enabled_disk_templates": ["file"]},
            {"drbd_helper": ""},
            {"vg_name": ""},
        ):
            with self.subTest(**fields):
                self.assertEqual(self.refused(**fields)[1], Code.STATE)

    def test_a_hypervisor_that_nobody_drives_is_not_enabled(self) -> None:
        message, code = self.refused(enabled_hypervisors=["fake", "lxc"])
        self.assertEqual(code, Code.INPUT)
        self.assertIn("enabled_hypervisors[1]", message)
        self.assertIn("kvm", message)

    def test_a_volume_group_must_be_on_every_node(self) -> None:
        told, code = self.refused(vg_name="vg9")
        self.assertEqual(code, Code.ENVIRONMENT)
        self.assertIn("node2", told)
        self.modify(vg_name="vg9", force=True)
        self.assertEqual(self.cluster.volume_group_name, "vg9")

    def test_lists_grow_and_shrink(self) -> None:
        self.modify(hidden_os=[["add", "old"], ["add", "older"]], reserved_lvs=["a", "b"])
        self.modify(hidden_os=[["remove", "old"]], reserved_lvs=["b"])
        self.assertEqual(self.cluster.hidden_os, ("older",))
        self.assertEqual(self.cluster.reserved_lvs, ("b",))
        self.assertIn("is not a range of the pool", self.refused(remove_uids=[[1, 2]])[0])

    def test_settings_that_nothing_does_are_refused_by_name(self) -> None:
        for name, value in (
            ("maintain_node_health", True),
            ("enabled_user_shutdown", True),
            ("install_image", "http://example.com/image"),
            ("zeroing_image", "/image"),
            ("compression_tools", ["gzip"]),
            ("instance_communication_network", "talk"),
            ("modify_etc_hosts", True),
            ("gluster_storage_dir", "/srv/gluster"),
            ("hv_state", {"kvm": {"mem_node": 512}}),
            ("disk_state", {"plain": {"vg0": {"disk_reserved": 5}}}),
        ):
            with self.subTest(name=name):
                told, code = self.refused(**{name: value})
                self.assertIn(f"{name}: is not supported by this version: ", told)
                self.assertEqual(code, Code.INPUT)

    def test_user_ids_for_guests_come_with_the_model_and_stay_as_long_as_it(self) -> None:
        pool = {"security_model": "pool"}
        self.modify(uid_pool=[[1000, 1010]], hvparams={"kvm": pool})
        self.assertEqual(self.cluster.uid_pool, ((1000, 1010),))
        told, _ = self.refused(uid_pool=[])
        self.assertIn("hypervisor kvm: security_model: pool needs user IDs", told)
        self.modify(uid_pool=[], hvparams={"kvm": {"security_model": "none"}})
        state = a_cluster(
            uid_pool=((5, 6),), instances=[an_instance("web1", hypervisor="kvm", hvparams=pool)]
        )
        self.whole = WholeCluster(state)
        told, _ = self.refused(remove_uids=[[5, 6]])
        self.assertIn("gnt-instance modify -H security_model=none web1", told)

    def test_a_setting_that_nothing_does_can_be_turned_off_or_stay(self) -> None:
        over: dict[str, Any] = {
            "enabled_user_shutdown": True,
            "maintain_node_health": True,
        }
        self.whole = WholeCluster(a_cluster(**over))
        self.modify(enabled_user_shutdown=False, maintain_node_health=True)
        cluster = self.cluster
        self.assertEqual(
            (cluster.maintain_node_health, cluster.enabled_user_shutdown), (True, False)
        )

    def test_templates_without_disks_are_not_enabled(self) -> None:
        self.whole = WholeCluster(a_cluster(enabled_disk_templates=("file", "gluster")))
        told, code = self.refused(enabled_disk_templates=["file", "rbd"])
        self.assertIn("enabled_disk_templates[1]: rbd disks are not supported", told)
        self.assertEqual(code, Code.INPUT)
        self.modify(enabled_disk_templates=["gluster", "plain"])  # as it was taken over

    def test_the_default_allocator_is_there(self) -> None:
        for name, code in (("nosuch", Code.UNKNOWN), (".", Code.INPUT), ("a/b", Code.INPUT)):
            self.assertEqual(self.refused(default_iallocator=name)[1], code)
        self.whole.memory.allocators["mine"] = ""
        for name in ("mine", "hail", ""):
            self.modify(default_iallocator=name)

    def test_folders_for_disks_are_among_those_that_nodes_allow(self) -> None:
        for name in ("file_storage_dir", "shared_file_storage_dir"):
            told = self.refused(**{name: "/etc"})[0]
            self.assertIn("node1: file disks are not allowed at /etc", told)
            self.assertIn("node2: ", told)
        self.modify(file_storage_dir="/srv/ganeti/file-storage/here")

    def test_the_usual_instance_is_one_that_the_policy_takes(self) -> None:
        told = self.refused(
            ipolicy={"std": {**self.cluster.ipolicy["std"], "memory-size": 1 << 20}}
        )
        self.assertIn(
            "ipolicy/std.memory-size: 1048576 is outside the range of minmax, 1 to 32768", told[0]
        )

    def test_parameters_of_systems_are_those_of_their_definition(self) -> None:
        for name in ("osparams", "osparams_private_cluster"):
            told, code = self.refused(**{name: {"noop": {"nosuch": "1"}}})
            self.assertIn(f"{name}/noop/nosuch: OS definition noop has no such", told)
            self.assertEqual(code, Code.INPUT)
        self.modify(osparams={"not-yet": {"size": "1"}})

    def test_parameters_of_systems_are_kept_by_name(self) -> None:
        for host in self.whole.hosts.values():
            host.list_os_parameters("noop", "size")
        self.modify(osparams={"noop": {"size": "1"}}, os_hvp={"noop": {"kvm": {"acpi": False}}})
        self.assertEqual(self.cluster.osparams, {"noop": {"size": "1"}})
        self.assertEqual(self.cluster.os_hvp, {"noop": {"kvm": {"acpi": False}}})
        self.modify(osparams={"noop": {"size": "default"}})
        self.assertEqual(self.cluster.osparams, {})

    def test_a_part_of_the_usual_instance_leaves_the_rest_as_it_is(self) -> None:
        before = self.cluster.ipolicy["std"]
        self.modify(ipolicy={"std": {"memory-size": 256, "cpu-count": 2}})
        self.assertEqual(
            self.cluster.ipolicy["std"], {**before, "memory-size": 256, "cpu-count": 2}
        )
        self.modify(ipolicy={"std": {"cpu-count": "default"}, "vcpu-ratio": "default"})
        self.assertEqual(self.cluster.ipolicy["std"], {**before, "memory-size": 256})
        self.assertIn("colour", self.refused(ipolicy={"std": {"colour": 1}})[0])


class GroupTests(SettingTests):
    def test_default_lets_the_policy_of_the_cluster_hold_again(self) -> None:
        policy = {"vcpu-ratio": 2.0, "disk-templates": ["file"], "minmax": [_RANGE]}
        self.do("OP_GROUP_SET_PARAMS", group_name="east", ipolicy=policy)
        self.assertEqual(self.whole.state.group("east").ipolicy, policy)
        reset = dict.fromkeys(policy, "default")
        self.do("OP_GROUP_SET_PARAMS", group_name="east", ipolicy=reset)
        self.assertEqual(self.whole.state.group("east").ipolicy, {})

    def test_a_group_comes_changes_its_name_and_goes(self) -> None:
        self.do("OP_GROUP_ADD", group_name="west", alloc_policy="last_resort")
        self.assertIs(self.whole.state.group("west").alloc_policy, AllocPolicy.LAST_RESORT)
        changed = self.do("OP_GROUP_SET_PARAMS", group_name="west", alloc_policy="preferred")
        self.assertEqual(changed, [["alloc_policy", AllocPolicy.PREFERRED]])
        self.do("OP_GROUP_RENAME", group_name="west", new_name="west")  # scripts may do this
        new = self.do("OP_GROUP_RENAME", group_name="west", new_name="far-west")
        self.assertEqual(new, "far-west")
        self.do("OP_GROUP_REMOVE", group_name="far-west")
        self.assertEqual(len(self.whole.state.groups), 2)

    def test_the_usual_instance_is_that_of_the_cluster(self) -> None:
        std = self.cluster.ipolicy["std"]
        told = self.refusal("OP_GROUP_SET_PARAMS", group_name="east", ipolicy={"std": std})
        self.assertIn("ipolicy/std: can only be set for the whole cluster", told[0])

    def test_a_group_takes_other_instances_than_the_usual_one(self) -> None:
        [bounds] = self.cluster.ipolicy["minmax"]
        large = {**bounds, "min": {**bounds["min"], "memory-size": 4096}}
        policy = {"minmax": [large]}
        self.do("OP_GROUP_SET_PARAMS", group_name="east", ipolicy=policy)

    def test_refusals_have_their_class(self) -> None:
        for op_id, fields, code in (
            ("OP_GROUP_ADD", {"group_name": "east"}, Code.EXISTS),
            ("OP_GROUP_ADD", {"group_name": "w", "ndparams": {"x": 1}}, Code.INPUT),
            ("OP_GROUP_RENAME", {"group_name": "default", "new_name": "east"}, Code.EXISTS),
            ("OP_GROUP_REMOVE", {"group_name": "default"}, Code.STATE),
            ("OP_GROUP_REMOVE", {"group_name": "none"}, Code.UNKNOWN),
            ("OP_GROUP_SET_PARAMS", {"group_name": "east"}, Code.INPUT),
        ):
            with self.subTest(op_id=op_id, **fields):
                self.assertEqual(self.refusal(op_id, **fields)[1], code)

    def test_nodes_change_their_group_unless_that_splits_an_instance(self) -> None:
        told, code = self.refusal("OP_GROUP_ASSIGN_NODES", group_name="east", nodes=["node1"])
        self.assertEqual(code, Code.STATE)
        self.assertIn("db1", told)
        self.do("OP_GROUP_ASSIGN_NODES", group_name="east", nodes=["node1", "node2"])
        east = self.whole.state.group("east")
        self.assertEqual(len(list(self.whole.state.list_nodes(east))), 2)


class NodeTests(SettingTests):
    def modify(self, **fields: Any) -> Any:
        return self.do("OP_NODE_SET_PARAMS", node_name="node2", **fields)

    def test_flags_that_change_are_told_as_texts(self) -> None:
        drained = self.modify(drained=True, force=True)
        self.assertEqual(drained, [["master_candidate", "False"], ["drained", "True"]])
        self.assertEqual(self.modify(drained=True), [])
        offline = self.modify(offline=True)
        self.assertEqual(offline, [["drained", "False"], ["offline", "True"]])
        self.assertEqual(self.modify(offline=False), [["offline", "False"]])

    def test_a_node_that_was_offline_becomes_a_candidate_at_once(self) -> None:
        self.modify(offline=True, force=True)
        host = self.whole.hosts["node2"]
        shown = create_self_signed("node2", 0.0, timedelta(days=1)).pem
        host.disk.put("/node2/var/lib/ganeti/server.pem", shown, 0o400, 0.0)
        known = set_certificates(self.whole.state.node("node2"), fingerprint(shown))
        self.successResultOf(self.whole.tools.config.change(known))
        back = self.modify(master_candidate=True)
        self.assertEqual(back, [["master_candidate", "True"], ["offline", "False"]])
        node = self.whole.state.node("node2")
        self.assertEqual((node.master_candidate, node.offline), (True, False))

    def test_something_must_be_changed(self) -> None:
        told, code = self.refusal("OP_NODE_SET_PARAMS", node_name="node2", force=True)
        self.assertEqual(code, Code.INPUT)
        self.assertIn("no changes requested", told)
