# SPDX-License-Identifier: BSD-2-Clause
"""Verification finds what does not fit together in a node group, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.opcodes.cluster import VerifyConfig, VerifyGroup
from ganeti.operations.cluster import verify
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import DescribeNode, VerifyNode
from ganeti.testing.builders import a_cluster, a_disk, a_nic, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

NOW = MemoryTools(a_cluster()).tools.time.date()
KVM = {"enabled_hypervisors": ("kvm", "fake")}
NOOP = {"name": "noop", "valid": True}
OLD = {"name": "old", "valid": True}


def answers(**by_node: Mapping[str, Any]) -> dict[Any, Any]:
    """What nodes answer to checks, with every instance of theirs running."""
    found: dict[Any, Any] = {}
    for name, answer in by_node.items():
        found[uuid_of("node", name), VerifyNode] = answer
        runs = ("web1",) if name == "node1" else ()
        found[uuid_of("node", name), DescribeNode] = some_facts(runs=runs)
    return found


class GroupCase(SynchronousTestCase):
    def found(
        self,
        state: ClusterState,
        facts: Mapping[Any, Any],
        since: float | None = None,
        before: ClusterState | None = None,
    ) -> list[str]:
        """The codes and texts of what a verification of the default group finds."""
        memory = MemoryTools(state)
        plan = verify.plan_group(
            VerifyGroup(group_name="default", error_codes=True),
            state,
            NodeAnswers(dict(facts), since=since, state=before),
        )
        self.successResultOf(verify.run_group(plan, memory.tools))
        return [said for said in memory.progress.said if said.startswith("  - ")]

    def assert_found(self, found: Sequence[str], *parts: str) -> None:
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])


class FindingTests(GroupCase):
    def test_nothing_is_wrong_with_what_fits(self) -> None:
        state = a_cluster(instances=["web1"])
        fine = {"oslist": [NOOP], "lvlist": {}, "bridges": ["br9"], "time": [int(NOW), 0]}
        self.assertEqual(self.found(state, answers(node1=fine)), [])

    def test_an_instance_that_breaks_the_policy_is_a_warning(self) -> None:
        state = a_cluster(instances=[an_instance("web1", beparams={"vcpus": 99})])
        found = self.found(state, answers(node1={}))
        self.assert_found(
            found, "WARNING:EINSTANCEPOLICY", "99 virtual processors is outside the range"
        )

    def test_copies_in_two_groups_and_a_node_that_is_not_to_run_instances(self) -> None:
        disk = a_disk("d", Template.DRBD, nodes=("node1", "node2"))
        nodes = [a_node("node1"), a_node("node2", group="east", vm_capable=False)]
        web1 = an_instance("web1", disks=[disk])
        state = a_cluster(nodes=nodes, groups=["default", "east"], instances=[web1])
        unsuitable, split = self.found(state, answers(node1={}))
        self.assertIn("ERROR:EINSTANCEUNSUITABLENODE:instance:web1:is on node node2", unsuitable)
        self.assertIn("WARNING:EINSTANCESPLITGROUPS:instance:web1", split)
        self.assertIn("default, east", split)

    def test_instances_that_a_tag_keeps_apart_are_found_on_one_node(self) -> None:
        pair = [an_instance(name, tags=("service:dns",)) for name in ("web1", "web2")]
        state = a_cluster(instances=pair, tags=("htools:iextags:service",))
        facts = answers(node1={})
        facts[uuid_of("node", "node1"), DescribeNode] = some_facts(runs=("web1", "web2"))
        self.assert_found(self.found(state, facts), "ERROR:EEXTAGS", "web1, web2", "service:dns")

    def test_a_bridge_is_missed_by_guests_that_need_it(self) -> None:
        nic = a_nic("n", nicparams={"link": "br7"})
        state = a_cluster(instances=[an_instance("web1", hypervisor="kvm", nics=(nic,))], **KVM)
        found = self.found(state, answers(node1={"bridges": ["br7", "br8"]}))
        self.assert_found(found, "ERROR:ENODENET:node:node1", "lacks bridges of its instances: br7")
        self.assertEqual(self.found(a_cluster(instances=["web1"]), answers(node1={})), [])

    def test_volumes_of_nobody_are_found_unless_they_are_reserved(self) -> None:
        disk = a_disk("d", Template.PLAIN)
        web1 = an_instance("web1", disks=[disk])
        name = "/".join(map(str, disk.logical_id))
        volumes = {each: ["1.00", True, True] for each in (name, "vg0/root", "vg0/stray")}
        state = a_cluster(instances=[web1], reserved_lvs=("vg0/root",))
        found = self.found(state, answers(node1={"lvlist": volumes}))
        self.assert_found(found, "WARNING:ENODEORPHANLV", "no instance: vg0/stray; remove")

    def test_definitions_that_instances_need_and_others_have(self) -> None:
        state = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        facts = answers(node1={"oslist": [OLD]}, node2={"oslist": [NOOP]})
        lacking, more = sorted(self.found(state, facts))
        self.assertIn("ERROR:ENODEOS:node:node1:lacks the OS definition noop of its", lacking)
        self.assertIn("WARNING:ENODEOS:node:node2:lacks the OS definition old", more)

    def test_folders_and_versions_of_storage(self) -> None:
        for answer, code in (
            ({"shared-file-storage-path": "no"}, "ENODESHAREDFILESTORAGEPATHUNUSABLE"),
            ({"allowed-file-storage-paths": ["/etc"]}, "ENODEFILESTORAGEPATHS"),
        ):
            found = self.found(a_cluster(instances=["web1"]), answers(node1=answer))
            self.assert_found(found, f"ERROR:{code}:node:node1")
        state = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        facts = answers(node1={"drbd-version": "8.4.11"}, node2={"drbd-version": "8.4.7"})
        self.assert_found(self.found(state, facts), "ENODEDRBDVERSION:group:default", "8.4.7")

    def test_a_helper_that_the_master_lacks_is_told_of_its_nodes(self) -> None:
        node2 = a_node("node2", ndparams={"oob_program": "/sbin/ipmi"})
        memory = MemoryTools(a_cluster(nodes=["node1", node2]))
        [question] = verify.config_questions(VerifyConfig(), memory.state())
        what, name = {"user-scripts": ["/sbin/ipmi"]}, memory.state().cluster.cluster_name
        self.assertEqual(question.call, VerifyNode(what=what, cluster_name=name))
        facts = NodeAnswers(
            {(uuid_of("node", "node1"), VerifyNode): {"user-scripts": ["/sbin/ipmi"]}}
        )
        plan = verify.plan_config(VerifyConfig(error_codes=True), memory.state(), facts)
        self.assertFalse(self.successResultOf(verify.run_config(plan, memory.tools)))
        self.assertIn("ERROR:ENODEOOBPATH:node:node2", memory.progress.said[-1])


class SlowNodeTests(GroupCase):
    """One node took long to answer, and the others are judged by what was true then."""

    def test_clocks_are_compared_with_the_time_of_the_question(self) -> None:
        state = a_cluster(instances=["web1"])
        for clock, off in ((-290, ""), (-10, ""), (-500, "-200 s"), (200, "+200 s")):
            facts = answers(node1={"time": [int(NOW) + clock, 0]})
            found = self.found(state, facts, since=NOW - 300)
            self.assertEqual([off in each for each in found], [True] * bool(off), found)

    def test_what_has_changed_since_is_not_judged(self) -> None:
        before = a_cluster(instances=["web1", "web2"])
        state = a_cluster(instances=[an_instance("web1", beparams={"vcpus": 2})])
        facts = answers(node1={})
        facts[uuid_of("node", "node1"), DescribeNode] = some_facts(runs=("web2",))
        self.assertEqual(self.found(state, facts, before=before), [])
        self.assertEqual(len(self.found(state, facts, before=state)), 2)
