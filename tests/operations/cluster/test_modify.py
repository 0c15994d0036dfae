# SPDX-License-Identifier: BSD-2-Clause
"""Cluster settings are changed only if instances and nodes can live with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.cluster import ListAction, ModifyCluster
from ganeti.operations.cluster.modify import (
    ClusterModification,
    hooks,
    plan,
    preview,
    questions,
    run,
)
from ganeti.operations.operation import NodeAnswers, ResultWithCommit
from ganeti.rpc.call import Call
from ganeti.rpc.node import DescribeOSes, ValidateHypervisor, VerifyNode
from ganeti.rpc.storage import ListStorageCall, ReportedStorageUnit
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import an_os
from ganeti.testing.tools import MemoryTools


def a_state(kind: Template = Template.FILE, **over: Any) -> ClusterState:
    """Return web1 on node1; node3 is offline, and node4 runs no guests."""
    nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
    disks = [] if kind is Template.DISKLESS else [a_disk("disk1", kind, nodes=nodes)]
    hosts = [
        a_node("node1"),
        a_node("node2", master_candidate=False),
        a_node("node3", offline=True, master_capable=False),
        a_node("node4", vm_capable=False, master_candidate=False, master_capable=False),
    ]
    return a_cluster(nodes=hosts, instances=[an_instance("web1", disks=disks)], **over)


def a_unit(name: str) -> ReportedStorageUnit:
    return ReportedStorageUnit(
        name=name, size=1, used=0, free=1, allocatable=True, group="", healthy=True
    )


def answers(kind: type[Call[Any]], **by_name: object) -> NodeAnswers:
    return NodeAnswers({(a_node(name).uuid, kind): answer for name, answer in by_name.items()})


def make_plan(
    state: ClusterState | None = None, facts: NodeAnswers | None = None, **fields: Any
) -> ClusterModification:
    return plan(ModifyCluster(**fields), state or a_state(), facts or NodeAnswers())


class QueryTests(SynchronousTestCase):
    def asked(self, **fields: Any) -> Mapping[type, Any]:
        """The calls to the nodes that run guests."""
        found = questions(ModifyCluster(**fields), a_state())
        for query in found:
            names = sorted(node.name for node in query.nodes)
            self.assertEqual(names, ["node1", "node2"])
        return {type(query.call): query.call for query in found}

    def test_nodes_are_asked_only_about_what_they_have_to_have(self) -> None:
        self.assertEqual(self.asked(candidate_pool_size=3, vg_name=""), {})
        self.assertEqual([*self.asked(vg_name="vg1")], [ListStorageCall])
        self.assertEqual([*self.asked(osparams={"noop": {"release": "x"}})], [DescribeOSes])
        private = {"noop": {"password": "x"}}
        self.assertEqual([*self.asked(osparams_private_cluster=private)], [DescribeOSes])

    def test_each_directory_has_its_check(self) -> None:
        call = self.asked(file_storage_dir="/a", shared_file_storage_dir="/b")[VerifyNode]
        expected = {"file-storage-path": "/a", "shared-file-storage-path": "/b"}
        self.assertEqual((call.what, call.cluster_name), (expected, "cluster.example.com"))


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
            make_plan(state, facts, **fields)
        error = raised.exception
        assert isinstance(error, GanetiError)
        self.assertEqual(error.arguments()[1], code)

    def test_nothing_to_change_is_refused(self) -> None:
        self.assert_refused("no changes requested", Code.INPUT)

    def test_a_hypervisor_of_an_instance_stays_enabled(self) -> None:
        reason = "instance web1 uses hypervisor fake; remove such instances first"
        self.assert_refused(reason, Code.STATE, enabled_hypervisors=(Hypervisor.KVM,))

    def test_a_template_of_an_instance_stays_enabled(self) -> None:
        reason = "instance web1 has file disks; remove such instances first"
        self.assert_refused(reason, Code.STATE, enabled_disk_templates=(Template.PLAIN,))
        make_plan(a_state(Template.DISKLESS), enabled_disk_templates=(Template.PLAIN,))

    def test_mirrored_disks_need_their_helper(self) -> None:
        reason = "instance web1 has drbd disks, which require the DRBD usermode helper"
        self.assert_refused(reason, Code.STATE, a_state(Template.DRBD), drbd_helper="")
        make_plan(drbd_helper="")
        make_plan(a_state(Template.DRBD), drbd_helper="/bin/false")

    def test_an_enabled_template_keeps_the_setting_that_it_needs(self) -> None:
        reason = "disk template plain requires volume_group_name; disable the template first"
        self.assert_refused(reason, Code.STATE, vg_name="")
        make_plan(vg_name="", enabled_disk_templates=(Template.FILE,))
        make_plan(a_state(enabled_disk_templates=("file",)), vg_name="")

    def test_a_missing_setting_of_another_template_is_not_the_requests_fault(self) -> None:
        state = a_state(volume_group_name=None, enabled_disk_templates=("file", "plain"))
        make_plan(state, drbd_helper="/bin/false")

    def test_every_node_needs_the_volume_group_unless_forced(self) -> None:
        found = {"node1": [a_unit("vg0")], "node2": Unreachable("node2", "gone")}
        facts = answers(ListStorageCall, **found)
        reason = "vg1 does not exist on all nodes: .*node1: volume group not found"
        self.assert_refused(reason, Code.ENVIRONMENT, None, facts, vg_name="vg1")
        self.assert_refused("node2: .*gone", Code.ENVIRONMENT, None, facts, vg_name="vg1")
        make_plan(None, facts, vg_name="vg1", force=True)
        both = answers(ListStorageCall, node1=[a_unit("vg1")], node2=[a_unit("vg1")])
        make_plan(None, both, vg_name="vg1")

    def test_every_node_must_accept_the_directories(self) -> None:
        facts = answers(VerifyNode, node1={}, node2={"file-storage-path": "/a is not allowed"})
        reason = "nodes do not accept the directory for disks: node2: /a is not allowed"
        self.assert_refused(reason, Code.ENVIRONMENT, None, facts, file_storage_dir="/a")
        make_plan(None, answers(VerifyNode, node1={}, node2={}), file_storage_dir="/a")
        silent = answers(VerifyNode, node1={}, node2=Unreachable("node2", "gone"))
        self.assert_refused("node2", Code.INTERNAL, None, silent, file_storage_dir="/a")

    def test_parameters_are_those_that_the_os_definition_declares(self) -> None:
        known = [an_os("debian", parameters=(("release", ""),), variants=("a",))]
        facts = answers(DescribeOSes, node1=known, node2=Failed("it is broken"))
        for os in ("debian", "debian+a"):
            make_plan(None, facts, osparams={os: {"release": "trixie", "x": "default"}})
            reason = rf"osparams_private_cluster/{os}/size: ".replace("+", r"\+")
            given = {"osparams_private_cluster": {os: {"size": "1"}}}
            self.assert_refused(reason, Code.INPUT, None, facts, **given)

    def test_parameters_of_an_os_that_no_node_has_cannot_be_checked(self) -> None:
        broken = replace(an_os("debian"), valid=False)
        facts = answers(DescribeOSes, node1=[broken], node2=[an_os("noop")])
        make_plan(None, facts, osparams={"debian": {"release": "trixie"}})


class RunTests(SynchronousTestCase):
    def perform(self, state: ClusterState, **fields: Any) -> ClusterState:
        """Return the state with the change that the operation returns."""
        self.memory = MemoryTools(state)
        found = make_plan(state, **fields)
        result = self.successResultOf(run(found, self.memory.tools))
        assert isinstance(result, ResultWithCommit)
        self.assertEqual(self.memory.state(), state)
        return result.change(state)

    def test_the_change_is_made_on_the_settings_at_its_commit(self) -> None:
        state = a_state()
        self.perform(state, candidate_pool_size=1)
        found = make_plan(state, hidden_os=((ListAction.ADD, "a"),))
        result = self.successResultOf(run(found, self.memory.tools))
        meanwhile = state.put(replace(state.cluster, hidden_os=("b",)))
        self.assertEqual(result.change(meanwhile).cluster.hidden_os, ("b", "a"))

    def test_an_allocator_must_be_installed_unless_it_is_built_in(self) -> None:
        for name in ("hail", ""):
            after = self.perform(a_state(), default_iallocator=name)
            self.assertEqual(after.cluster.default_iallocator, name)
        found = make_plan(default_iallocator="mine")
        error = self.failureResultOf(run(found, self.memory.tools), Refused).value
        self.assertEqual(error.code, Code.UNKNOWN)
        self.assertIn("iallocator mine is not installed on the master", str(error))
        self.memory.allocators["mine"] = ""
        self.successResultOf(run(found, self.memory.tools))

    def test_parameters_that_a_node_cannot_run_are_refused(self) -> None:
        self.memory = MemoryTools(a_state(), {ValidateHypervisor: Failed("no machine pc-9")})
        found = make_plan(hvparams={"kvm": {"machine_version": "pc-9", "kernel_path": ""}})
        error = self.failureResultOf(run(found, self.memory.tools), Refused).value
        self.assertIn("no machine pc-9", str(error))

    def test_candidates_that_could_be_promoted_are_reported(self) -> None:
        self.perform(a_state(), candidate_pool_size=1)
        self.assertEqual(self.memory.progress.said, [])
        self.perform(a_state(), candidate_pool_size=2)
        [message] = self.memory.progress.said
        self.assertIn("the cluster has only 1 master candidates; to add more", message)

    def test_the_preview_and_the_hooks_name_what_changes(self) -> None:
        found = make_plan(vg_name="vg1", candidate_pool_size=2, force=True)
        self.assertEqual(preview(found), ["candidate_pool_size", "volume_group_name"])
        self.assertEqual(found.locks, {})
        state = a_state()
        call = hooks(found, state)
        expected = {"OP_TARGET": "cluster.example.com", "NEW_VG_NAME": "vg1"}
        self.assertEqual(call.environment, expected)
        self.assertEqual((call.before, call.after), ([state.cluster.master_node],) * 2)
        call = hooks(make_plan(candidate_pool_size=2), state)
        self.assertEqual(call.environment["NEW_VG_NAME"], "")
