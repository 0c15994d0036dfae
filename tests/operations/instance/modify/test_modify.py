# SPDX-License-Identifier: BSD-2-Clause
"""Changes of an instance are planned as a whole, and refused before anything is done."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.instances import want
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused, Unreachable
from ganeti.model.disk import DiskMode, Template
from ganeti.model.guest import CheckScope, GuestState
from ganeti.model.instance import AdminState
from ganeti.model.running import RunningConfig, RunningDisk
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.instance.modify.conversion import DiskConversion
from ganeti.operations.instance.modify.modify import (
    InstanceModification,
    hooks,
    plan,
    preview,
    questions,
    run,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import (
    AttachDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    RemoveDisk,
    WipeDisk,
)
from ganeti.rpc.instances import ChangeMedia, DescribeHotplug, DescribeRunning, ListGuests
from ganeti.rpc.node import (
    DescribeNode,
    DescribeOSes,
    StorageSpace,
    ValidateHypervisor,
    ValidateOS,
)
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import an_os, some_facts
from ganeti.testing.tools import MemoryTools

ADD_DISK: dict[str, Any] = {"disks": (("add", -1, {"size": 64}),)}
REMOVE_DISK: dict[str, Any] = {"disks": (("remove", 0, {}),)}
ADD_NIC: dict[str, Any] = {"nics": (("add", -1, {}),)}
OS = an_os(parameters=tuple((name, "") for name in ("release", "size", "password")))


def a_state(kind: Template = Template.PLAIN, *, offline: str = "", **over: Any) -> ClusterState:
    """Return web1 on node1, stopped and with a disk of 1 GiB; node2 has the second copy."""
    nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
    disks = [] if kind is Template.DISKLESS else [a_disk("disk1", kind, nodes=nodes)]
    instance = {"admin_state": AdminState.DOWN, **over.pop("instance", {})}
    web1 = an_instance("web1", disks=disks, **instance)
    hosts = [a_node(name, offline=name == offline) for name in ("node1", "node2")]
    return a_cluster(nodes=hosts, instances=[web1], **over)


def a_kvm_state() -> ClusterState:
    return a_state(instance={"hypervisor": "kvm"}, hvparams={"kvm": {"kernel_path": ""}})


def answers(state: ClusterState, *, runs: str = "", **over: Any) -> NodeAnswers:
    """Return the answers of both nodes, one of which ``runs`` web1; ``over`` by name of node.

    ``running`` are the disks that the guest was started with, ``free`` MiB are left for others.
    """
    free = over.pop("free", 4096)
    space = (StorageSpace(kind="lvm-vg", name="vg0", size=8192, free=free),)
    known: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        facts = some_facts(runs=["web1"] if runs == node.name else [], storage=space)
        known[node.uuid, DescribeNode] = over.get(node.name, facts)
        known[node.uuid, ValidateHypervisor] = over.get("check")
        known[node.uuid, DescribeOSes] = over.get("oses", [OS])
        known[node.uuid, DescribeDisks] = [None]
        known[node.uuid, ValidateOS] = over.get("os_check")
        known[node.uuid, DescribeHotplug] = over.get("hotplug", "")
        known[node.uuid, DescribeRunning] = RunningConfig(
            memory=128, vcpus=1, hvparams={}, nics=(), disks=over.get("running", ())
        )
    return NodeAnswers(known, identity="identity")


def make_plan(
    state: ClusterState, facts: NodeAnswers | None = None, **fields: Any
) -> InstanceModification:
    op = ModifyInstance(instance_name="web1", **fields)
    found = plan(op, state, facts or answers(state))
    assert isinstance(found, InstanceModification)
    return found


class QueryTests(SynchronousTestCase):
    def asked(self, state: ClusterState, **fields: Any) -> dict[type, tuple[list[str], Any]]:
        """The calls of the plan, with the nodes that are asked."""
        found = questions(ModifyInstance(instance_name="web1", **fields), state)
        return {type(q.call): ([node.name for node in q.nodes], q.call) for q in found}

    def test_a_change_of_the_record_asks_only_what_runs(self) -> None:
        asked = self.asked(a_state(Template.DRBD), beparams={"vcpus": 2})
        self.assertEqual([*asked], [DescribeNode])
        self.assertEqual(asked[DescribeNode][0], ["node1"])

    def test_a_change_of_disks_asks_all_nodes_of_the_disks_for_their_space(self) -> None:
        asked = self.asked(a_state(Template.DRBD), **ADD_DISK)
        nodes, call = asked[DescribeNode]
        self.assertEqual((nodes, bool(call.storage)), (["node1", "node2"], True))
        self.assertEqual(asked[ListGuests][0], ["node2"])
        self.assertEqual(asked[DescribeRunning][0], ["node1"])
        asked = self.asked(a_state(Template.DRBD, offline="node2"), **ADD_DISK)
        self.assertEqual(asked[DescribeNode][0], ["node1"])

    def test_an_instance_that_is_taken_out_of_use_may_run_on_another_node(self) -> None:
        asked = self.asked(a_state(Template.DRBD), offline=True)
        self.assertEqual([*asked], [ListGuests, DescribeNode])
        self.assertEqual(asked[ListGuests][0], ["node2"])

    def test_the_guest_is_asked_whether_it_takes_devices_if_that_is_requested(self) -> None:
        self.assertIn(DescribeHotplug, self.asked(a_state(), **ADD_NIC, hotplug=True))
        self.assertNotIn(DescribeHotplug, self.asked(a_state(), **ADD_NIC))

    def test_the_node_checks_new_parameters_or_else_only_the_devices(self) -> None:
        _, check = self.asked(a_kvm_state(), hvparams={"keymap": "de"})[ValidateHypervisor]
        self.assertIs(check.scope, CheckScope.ALL)
        _, check = self.asked(a_state(), **ADD_DISK, **ADD_NIC)[ValidateHypervisor]
        self.assertIs(check.scope, CheckScope.EQUIPMENT)
        self.assertEqual((check.disks, len(check.nics)), (2, 2))

    def test_the_os_is_checked_with_its_new_parameters_unless_forced(self) -> None:
        asked = self.asked(a_state(), os_name="debian", osparams={"release": "trixie"})
        _, check = asked[ValidateOS]
        self.assertEqual((check.os, check.osparams), ("debian", {"release": "trixie"}))
        self.assertIn(DescribeOSes, asked)
        self.assertNotIn(ValidateOS, self.asked(a_state(), os_name="debian", force=True))

    def test_an_instance_without_an_os_has_no_parameters_to_check(self) -> None:
        state = a_state(instance={"os": ""})
        self.assertNotIn(ValidateOS, self.asked(state, osparams={"release": "trixie"}))
        make_plan(state, answers(state, oses=[]), osparams={"release": "trixie"})

    def test_an_offline_node_is_not_asked(self) -> None:
        state = a_state(Template.DRBD, offline="node1")
        self.assertEqual(self.asked(state, beparams={"vcpus": 2}), {})
        self.assertEqual([*self.asked(state, **ADD_DISK)], [ListGuests])


class RefusalTests(SynchronousTestCase):
    def assert_refused(
        self,
        reason: str,
        code: Code,
        state: ClusterState | None = None,
        facts: NodeAnswers | None = None,
        **fields: Any,
    ) -> None:
        with self.assertRaisesRegex((Refused, Invalid), reason) as raised:
            make_plan(state or a_state(), facts, **fields)
        error = raised.exception
        assert isinstance(error, GanetiError)
        self.assertEqual(error.arguments()[1], code)

    def test_what_another_command_does_is_refused_with_its_name(self) -> None:
        for fields, reason, code in (
            ({"remote_node": "node2"}, "gnt-instance replace-disks -n NODE web1", Code.INPUT),
            ({"remote_node_uuid": "x"}, "gnt-instance replace-disks -n NODE web1", Code.INPUT),
            ({"pnode": "node2"}, "gnt-instance failover -n NODE web1", Code.INPUT),
            ({"pnode_uuid": "x"}, "gnt-instance failover -n NODE web1", Code.INPUT),
            ({"runtime_mem": 512}, "gnt-instance modify -B maxmem=512 web1", Code.STATE),
        ):
            self.assert_refused(reason, code, **fields)

    def test_nothing_to_change_is_refused(self) -> None:
        self.assert_refused("no changes requested", Code.INPUT)

    def test_a_silent_node_may_run_the_guest(self) -> None:
        facts = answers(a_state(), node1=Unreachable("node1", "gone"))
        self.assert_refused("node1 is unreachable", Code.INTERNAL, None, facts, os_name="debian")

    def test_what_the_node_cannot_run_is_refused(self) -> None:
        facts = answers(a_state(), check=Failed("no bridge br9"))
        for fields in ({"hvparams": {"keymap": "de"}}, ADD_NIC, ADD_DISK):
            state = a_kvm_state()
            self.assert_refused("no bridge br9", Code.ENVIRONMENT, state, facts, **fields)
        make_plan(a_state(), facts, beparams={"vcpus": 2})

    def test_an_os_that_the_node_does_not_have_is_refused_unless_forced(self) -> None:
        reason = "OS definition debian does not exist on node node1"
        self.assert_refused(reason, Code.UNKNOWN, os_name="debian")
        self.assertEqual(make_plan(a_state(), os_name="debian", force=True).fields["os"], "debian")

    def test_parameters_that_the_os_rejects_are_refused(self) -> None:
        facts = answers(a_state(), os_check=Failed("size must be a number"))
        given = {"osparams": {"size": "big"}}
        self.assert_refused("size must be a number", Code.ENVIRONMENT, None, facts, **given)

    def test_an_os_cannot_be_checked_on_an_offline_node(self) -> None:
        state = a_state(offline="node1")
        reason = "node1 is offline, so the OS definition noop and its parameters cannot be checked"
        self.assert_refused(reason, Code.STATE, state, osparams={"size": "big"})
        make_plan(state, osparams={"size": "big"}, force=True)

    def test_a_running_instance_is_not_marked_offline(self) -> None:
        running = answers(a_state(), runs="node1")
        self.assert_refused("gnt-instance shutdown web1", Code.STATE, None, running, offline=True)
        wanted = a_state(instance={"admin_state": AdminState.UP})
        self.assert_refused("gnt-instance shutdown web1", Code.STATE, wanted, offline=True)

    def test_one_that_runs_on_another_node_keeps_its_disks_and_its_state(self) -> None:
        state = a_state(Template.DRBD)
        facts = answers(state, runs="node2")
        reason = "running on node2, which is not its primary node"
        self.assert_refused(reason, Code.STATE, state, facts, **REMOVE_DISK)
        self.assert_refused(reason, Code.STATE, state, facts, offline=True)

    def test_a_disk_is_not_removed_while_a_silent_node_may_use_it(self) -> None:
        state = a_state(Template.DRBD)
        facts = answers(state, node2=Unreachable("node2", "gone"))
        self.assert_refused("unknown whether", Code.INTERNAL, state, facts, **REMOVE_DISK)

    def test_a_disk_that_the_guest_uses_is_not_removed(self) -> None:
        disk = RunningDisk(uuid=uuid_of("disk", "disk1"), mode=DiskMode.READ_WRITE)
        facts = answers(a_state(), runs="node1", running=(disk,))
        self.assert_refused("web1 is running with the disk", Code.STATE, None, facts, **REMOVE_DISK)
        make_plan(a_state(), answers(a_state(), runs="node1"), **REMOVE_DISK)
        make_plan(a_state(), facts, **REMOVE_DISK, hotplug=True)

    def test_an_instance_without_disks_cannot_get_any(self) -> None:
        reason = "web1 is diskless and cannot get disks; create another instance"
        self.assert_refused(reason, Code.INPUT, a_state(Template.DISKLESS), **ADD_DISK)

    def test_disks_are_not_changed_where_a_node_is_offline(self) -> None:
        state = a_state(Template.DRBD, offline="node2")
        reason = "node2 is offline, so the disks of instance web1 cannot be changed there"
        self.assert_refused(reason, Code.STATE, state, **ADD_DISK)

    def test_a_new_disk_needs_space_also_that_of_a_removed_one(self) -> None:
        larger: dict[str, Any] = {"disks": (("add", -1, {"size": 1025}),)}
        self.assert_refused("MiB", Code.RESOURCES, None, answers(a_state(), free=1024), **larger)
        swap: dict[str, Any] = {"disks": (("remove", 0, {}), *larger["disks"])}
        make_plan(a_state(), answers(a_state(), free=1), **swap)
        self.assert_refused("MiB", Code.RESOURCES, None, answers(a_state(), free=0), **swap)

    def test_the_policy_counts_disks_and_cards_as_they_will_be(self) -> None:
        state = a_state(ipolicy={**a_state().cluster.ipolicy, "disk-templates": ["file"]})
        self.assert_refused("plain", Code.INPUT, state, **ADD_NIC)
        make_plan(state, **ADD_NIC, ignore_ipolicy=True)

    def test_memory_that_the_next_start_would_not_get_is_refused_unless_forced(self) -> None:
        guests = {"web1": GuestState(name="web1", memory=128, vcpus=1)}
        facts = answers(a_state(), node1=some_facts(guests=guests, memory_free=100))
        reason = "will require 229 MiB of memory at its next start, but node node1 has 100 MiB"
        given: dict[str, Any] = {"beparams": {"minmem": 229, "maxmem": 512}}
        self.assert_refused(reason, Code.RESOURCES, None, facts, **given)
        make_plan(a_state(), facts, **given, force=True)
        make_plan(a_state(), facts, beparams={"minmem": 228, "maxmem": 512})
        make_plan(a_state(), answers(a_state()), **given)

    def test_the_parameters_of_a_card_must_agree(self) -> None:
        given: dict[str, Any] = {"nics": (("modify", 0, {"link": ""}),)}
        self.assert_refused(r"nics\[0\]", Code.INPUT, **given)

    def test_masks_of_processors_fit_the_number_that_the_instance_will_have(self) -> None:
        state, masks = a_kvm_state(), {"cpu_mask": "0:1"}
        self.assert_refused("2 masks, but instance web1 has 1", Code.INPUT, state, hvparams=masks)
        found = make_plan(state, hvparams=masks, beparams={"vcpus": 2})
        self.assertEqual(found.fields["hvparams"], masks)

    def test_cards_can_be_changed_while_the_node_is_offline(self) -> None:
        state = a_state(offline="node1")
        found = plan(ModifyInstance(instance_name="web1", **ADD_NIC), state, NodeAnswers())
        assert isinstance(found, InstanceModification)
        self.assertEqual(len(found.nics.cards), 2)

    def test_a_card_of_a_network_needs_the_groups_connection(self) -> None:
        given: dict[str, Any] = {"nics": (("add", -1, {"network": "net1"}),)}
        apart = a_state(networks=["net1"])
        self.assert_refused("net1 is not connected to node group", Code.STATE, apart, **given)
        connection = {a_network("net1").uuid: {"mode": "bridged", "link": "br7", "vlan": ""}}
        joined = a_state(networks=["net1"], groups=[a_group(networks=connection)])
        self.assertEqual(make_plan(joined, **given).nics.cards[1].nicparams["link"], "br7")

    def test_a_card_of_another_network_gets_its_connection(self) -> None:
        links = {
            a_network(name).uuid: {"mode": mode, "link": link, "vlan": ""}
            for name, mode, link in (("net1", "routed", "100"), ("net2", "bridged", "br8"))
        }
        old, new = links.values()
        card = a_nic(network=a_network("net1").uuid, nicparams=old)
        state = a_cluster(
            instances=[an_instance("web1", nics=(card,))],
            networks=["net1", "net2"],
            groups=[a_group(networks=links)],
        )
        for given, expected in (
            ({"network": "net2"}, new),
            ({"network": "net2", "link": "br9"}, {**new, "link": "br9"}),
            ({"ip": "pool"}, old),
            ({"network": "none"}, old),
        ):
            [card] = make_plan(state, nics=(("modify", 0, given),)).nics.cards
            self.assertEqual(card.nicparams, expected, given)


class ResultTests(SynchronousTestCase):
    def test_every_change_is_a_row_and_private_values_are_hidden(self) -> None:
        found = make_plan(
            a_state(),
            beparams={"vcpus": 2},
            osparams={"release": "trixie"},
            osparams_private={"password": "secret"},
            os_name="noop",
            **ADD_NIC,
            **ADD_DISK,
        )
        expected = [
            ["be/vcpus", 2],
            ["os/release", "trixie"],
            ["os_private/password", "<redacted>"],
            ["os", "noop"],
            ["nic.1", "add:mac=auto,ip=None"],
            ["disk/1", "add:size=64,mode=rw"],
        ]
        self.assertEqual(preview(found), expected)

    def test_default_removes_a_parameter_of_the_instance(self) -> None:
        state = a_state(
            instance={"osparams": {"size": "1", "release": "2"}, "beparams": {"vcpus": 4}}
        )
        found = make_plan(state, osparams={"size": "default"}, beparams={"vcpus": "default"})
        self.assertEqual(found.fields, {"osparams": {"release": "2"}, "beparams": {}})

    def test_the_present_state_is_no_change_but_succeeds(self) -> None:
        found = make_plan(a_state(), offline=False)
        self.assertEqual((found.rows, found.wanted), ([("admin_state", "down")], None))
        found = make_plan(a_state(), offline=True)
        self.assertEqual(found.wanted, AdminState.OFFLINE)

    def test_a_conversion_of_the_disks_is_a_plan_of_its_own(self) -> None:
        state = a_state()
        op = ModifyInstance(instance_name="web1", disk_template=Template.SHAREDFILE)
        found = plan(op, state, answers(state))
        self.assertIsInstance(found, DiskConversion)
        self.assertEqual(preview(found), [["disk_template", "sharedfile"]])
        environment = hooks(found, state).environment
        self.assertEqual(environment["INSTANCE_DISK_TEMPLATE"], "plain")
        self.assertEqual(environment["NEW_DISK_TEMPLATE"], "sharedfile")
        self.assertIn(DescribeDisks, [type(query.call) for query in questions(op, state)])

    def test_hooks_get_the_changed_instance_before_and_after_the_change(self) -> None:
        state = a_state()
        found = make_plan(state, beparams={"vcpus": 2}, **ADD_NIC, **ADD_DISK)
        before = hooks(found, state).environment
        counts = ("INSTANCE_VCPUS", "INSTANCE_NIC_COUNT", "INSTANCE_DISK_COUNT")
        self.assertEqual([before[name] for name in counts], ["2", "2", "2"])
        memory = MemoryTools(state, {CreateDisk: None})
        self.successResultOf(run(found, memory.tools))
        after = hooks(found, memory.state()).environment
        self.assertEqual(after, before)

    def test_hooks_know_the_new_memory_of_a_running_guest(self) -> None:
        state = a_state()
        found = make_plan(state, answers(state, runs="node1"), runtime_mem=128)
        self.assertEqual(hooks(found, state).environment["RUNTIME_MEMORY"], "128")
        found = make_plan(state, beparams={"vcpus": 2})
        self.assertNotIn("RUNTIME_MEMORY", hooks(found, state).environment)


class RunTests(SynchronousTestCase):
    def perform(
        self, state: ClusterState, facts: NodeAnswers | None = None, **fields: Any
    ) -> MemoryTools:
        memory = MemoryTools(state, {DescribeDisks: [None], DescribeRunning: Failed("unknown")})
        self.successResultOf(run(make_plan(state, facts, **fields), memory.tools))
        return memory

    def test_each_new_card_gets_an_address_and_identity_of_its_own(self) -> None:
        state = a_state()
        [old] = state.instance("web1").nics
        two: dict[str, Any] = {"nics": (*ADD_NIC["nics"], *ADD_NIC["nics"])}
        nics = self.perform(state, **two).state().instance("web1").nics
        self.assertEqual(nics[0], old)
        for values in ({card.mac for card in nics}, {card.uuid for card in nics}):
            self.assertEqual((len(values), "" in values), (3, False))
        self.assertTrue(all(card.mac.startswith("aa:00:10:") for card in nics))

    def test_state_and_disks_are_changed_in_the_record(self) -> None:
        given: dict[str, Any] = {"disks": (("modify", 0, {"mode": "ro", "name": "root"}),)}
        after = self.perform(a_state(), offline=True, **given).state()
        web1 = after.instance("web1")
        [disk] = after.get_disks(web1)
        self.assertIs(web1.admin_state, AdminState.OFFLINE)
        self.assertEqual((disk.mode, disk.name), (DiskMode.READ_ONLY, "root"))

    def test_new_disks_are_wiped_and_detached_again_if_the_cluster_wipes(self) -> None:
        memory = self.perform(a_state(prealloc_wipe_disks=True), **ADD_DISK)
        kinds = (AttachDisk, WipeDisk, DetachDisk)
        names = [name for _, name in memory.nodes.calls(*kinds)]
        self.assertEqual(names, ["AttachDisk", "WipeDisk", "DetachDisk"])

    def test_another_change_of_the_instance_in_the_meantime_is_kept(self) -> None:
        state = a_state()
        memory = MemoryTools(state)
        found = make_plan(state, beparams={"vcpus": 2})
        offline = want(state.instance("web1"), AdminState.OFFLINE)
        self.successResultOf(memory.change(offline))
        self.successResultOf(run(found, memory.tools))
        web1 = memory.state().instance("web1")
        self.assertEqual((web1.beparams, web1.admin_state), ({"vcpus": 2}, AdminState.OFFLINE))

    def test_a_removed_disk_leaves_the_record_before_its_data_are_removed(self) -> None:
        memory = MemoryTools(a_state(), {RemoveDisk: Failed("it is in use")})
        found = make_plan(memory.state(), **REMOVE_DISK)
        self.successResultOf(run(found, memory.tools))
        self.assertEqual(memory.state().instance("web1").disks, ())
        self.assertEqual(memory.progress.said, ["cannot remove disk/0 on node1: it is in use"])

    def test_a_disk_that_cannot_be_created_leaves_the_record(self) -> None:
        memory = MemoryTools(a_state(), {CreateDisk: Failed("no space")})
        found = make_plan(memory.state(), **ADD_DISK)
        self.failureResultOf(run(found, memory.tools), Failed)
        self.assertEqual(len(memory.state().instance("web1").disks), 1)
        self.assertEqual(memory.nodes.calls(RemoveDisk), [("node1", "RemoveDisk")])

    def test_a_new_disk_is_attached_if_the_others_are(self) -> None:
        for active in (False, True):
            state = a_state(instance={"disks_active": active})
            memory = self.perform(state, **ADD_DISK)
            attached = memory.nodes.calls(AttachDisk, DetachDisk)
            self.assertEqual(attached, [("node1", "AttachDisk")] if active else [])

    def test_devices_that_the_guest_gets_later_have_the_reason(self) -> None:
        state = a_state()
        facts = answers(state, runs="node1", hotplug="web1 has no free slots")
        said = self.perform(state, facts, **ADD_NIC, hotplug_if_possible=True).progress.said
        self.assertEqual(said, ["the running guest keeps its devices: web1 has no free slots"])

    def test_the_medium_in_a_drive_is_changed_only_if_the_guest_runs(self) -> None:
        kvm = a_kvm_state()
        given: dict[str, Any] = {"hvparams": {"cdrom_image_path": "/b.iso"}}
        self.assertEqual(self.perform(kvm, **given).nodes.calls(ChangeMedia), [])
        memory = self.perform(kvm, answers(kvm, runs="node1"), **given)
        self.assertEqual(memory.nodes.calls(ChangeMedia), [("node1", "ChangeMedia")])
