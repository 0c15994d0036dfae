# SPDX-License-Identifier: BSD-2-Clause
"""Candidate nodes: what they have free, what they reserve, and what their group objects to."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.model.guest import GuestState
from ganeti.operations.allocation.allocation_request import Candidate, NodeResources
from ganeti.operations.allocation.candidates import (
    RunningVcpus,
    candidates,
    get_free_space,
    require_space,
    spent,
    storage_units,
)
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.rpc.node import NodeInfo, StorageSpace
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_node,
    an_instance,
)
from ganeti.testing.facts import some_facts

VOLUMES = StorageSpace(kind="lvm-vg", name="vg0", size=1000, free=400)
FILES = StorageSpace(kind="file", name="/srv", size=9000, free=8000)
FACTS = some_facts(memory_free=2000, cpus=4, storage=(VOLUMES, FILES))


def on_kvm(name: str, *, vcpus: int | None = None, **over: Any) -> Built:
    beparams = {} if vcpus is None else {"vcpus": vcpus}
    return an_instance(name, **{"hypervisor": "kvm", "beparams": beparams, **over})


def running(**vcpus: int) -> dict[str, GuestState]:
    return {name: GuestState(name=name, memory=128, vcpus=vcpus[name]) for name in vcpus}


class CandidateTests(SynchronousTestCase):
    def found(self, state: ClusterState, facts: NodeInfo | None = FACTS, **over: Any) -> Candidate:
        """Return node1 as a candidate for an instance with disks in a volume group."""
        node = state.node("node1")
        [candidate] = candidates([node], Template.PLAIN, state, lambda _: facts, **over)
        return candidate

    def test_a_candidate_has_what_its_node_says(self) -> None:
        state = a_cluster(groups=[a_group(ipolicy={"vcpu-ratio": 2.0})])
        expected = Candidate(
            state.node("node1"), NodeResources(2000, 400, 4), instances=0, vcpu_ratio=2.0
        )
        self.assertEqual(self.found(state), expected)

    def test_of_a_silent_node_nothing_is_known_but_its_configuration(self) -> None:
        found = self.found(a_cluster(instances=[on_kvm("web1", vcpus=3)]), None)
        self.assertEqual(found.space, NodeResources(None, None, None))
        self.assertEqual((found.instances, found.vcpus), (1, 3))

    def test_memory_is_reserved_for_the_worst_failure_of_one_other_node(self) -> None:
        def mirrored(name: str, number: int, primary: str, minmem: int) -> Built:
            disk = a_disk(f"disk{number}", Template.DRBD, nodes=(primary, "node1"))
            sizes = {"minmem": minmem, "maxmem": 9999}
            return an_instance(name, node=primary, disks=[disk], beparams=sizes)

        instances = [
            mirrored("db1", 1, "node2", 300),
            mirrored("db2", 2, "node2", 200),
            mirrored("db3", 3, "node3", 400),
        ]
        state = a_cluster(nodes=["node1", "node2", "node3"], instances=instances)
        self.assertEqual(self.found(state).reserved, 500)

    def test_last_resort_is_a_property_of_the_group(self) -> None:
        for policy, expected in (
            (AllocPolicy.PREFERRED, False),
            (AllocPolicy.LAST_RESORT, True),
        ):
            state = a_cluster(groups=[a_group(alloc_policy=policy)])
            self.assertIs(self.found(state).last_resort, expected)

    def test_the_policy_of_each_group_is_checked_for_a_size_only(self) -> None:
        strict = a_group("strict", ipolicy={"disk-templates": ["drbd"]})
        state = a_cluster(
            nodes=["node1", a_node("node2", group="strict")], groups=["default", strict]
        )
        size = PolicySize(
            memory=128, vcpus=1, disks=[1024], nics=1, spindles=1, template=Template.PLAIN
        )
        nodes = [state.node("node1"), state.node("node2")]
        found = candidates(nodes, Template.PLAIN, state, lambda _: FACTS, size=size)
        words = "disk template plain is not allowed; allowed are drbd"
        expected = f"is in group strict, whose instance policy is violated: {words}"
        self.assertEqual([each.objection for each in found], [None, expected])
        unchecked = candidates(nodes, Template.PLAIN, state, lambda _: FACTS)
        self.assertEqual([each.objection for each in unchecked], [None, None])


class RunningVcpusTests(SynchronousTestCase):
    def count(self, state: ClusterState, facts: NodeInfo | None, default: int = 1) -> int:
        return RunningVcpus().count(state.node("node1"), state, facts, default)

    def test_an_instance_without_a_value_has_that_of_the_cluster(self) -> None:
        state = a_cluster(instances=[on_kvm("web1"), on_kvm("web2", vcpus=4)])
        self.assertEqual(self.count(state, None, default=3), 7)
        facts = some_facts(guests=running(web1=5, web2=4))
        self.assertEqual(self.count(state, facts, default=3), 9)

    def test_the_larger_number_of_each_instance_counts(self) -> None:
        state = a_cluster(instances=[on_kvm("web1", vcpus=4), on_kvm("web2", vcpus=1)])
        facts = some_facts(guests=running(web1=1, web2=3))
        self.assertEqual(self.count(state, facts), 4 + 3)

    def test_guests_that_are_not_configured_here_or_use_no_processors_do_not_count(self) -> None:
        instances = [on_kvm("web1", vcpus=1), an_instance("web2", beparams={"vcpus": 8})]
        state = a_cluster(instances=instances)
        facts = some_facts(guests=running(web2=9, other=9))
        self.assertEqual(self.count(state, facts), 1)

    def test_a_change_of_guests_configuration_or_default_is_noticed(self) -> None:
        state, facts = a_cluster(instances=[on_kvm("web1")]), some_facts(guests=running(web1=3))
        other = some_facts(guests=running(web1=5))
        changed = a_cluster(instances=[on_kvm("web1", vcpus=2)])
        for now, answer, default, expected in (
            (state, facts, 1, 3),
            (state, other, 1, 5),
            (state, facts, 4, 4),
            (changed, facts, 1, 3),
        ):
            counter, node = RunningVcpus(), state.node("node1")
            self.assertEqual([counter.count(node, state, facts, 1) for _ in range(2)], [3, 3])
            self.assertEqual(counter.count(node, now, answer, default), expected)

    def test_configured_processors_are_counted_anew_each_time(self) -> None:
        counter, facts = RunningVcpus(), some_facts(guests=running(web1=3))
        for vcpus, expected in ((1, 3), (4, 4), (2, 3)):
            state = a_cluster(instances=[on_kvm("web1", vcpus=vcpus)])
            self.assertEqual(counter.count(state.node("node1"), state, facts, 1), expected)


class SpaceTests(SynchronousTestCase):
    def test_each_template_uses_its_storage(self) -> None:
        units = (VOLUMES, FILES, StorageSpace(kind="sharedfile", name="/nfs", size=50, free=40))
        facts = some_facts(storage=units)
        for template, free in (
            (Template.PLAIN, 400),
            (Template.DRBD, 400),
            (Template.FILE, 8000),
            (Template.SHAREDFILE, 40),
            (Template.RBD, None),
            (Template.DISKLESS, None),
        ):
            self.assertEqual(get_free_space(facts, template), free, template)
        self.assertIsNone(get_free_space(some_facts(storage=()), Template.PLAIN))

    def test_disks_that_do_not_fit_are_refused_with_their_metadata(self) -> None:
        node, state = a_node("node1"), a_cluster(nodes=["node1"])
        require_space(node, FACTS, Template.PLAIN, [200, 200], state=state)
        require_space(node, FACTS, Template.DRBD, [200, 200], state=state, freed=256)
        require_space(node, FACTS, Template.RBD, [9999], state=state)
        words = "node node1 has 400 MiB of free disk space, but 456 MiB are required"
        with self.assertRaisesRegex(Refused, words) as caught:
            require_space(node, FACTS, Template.DRBD, [200], state=state, freed=-128)
        self.assertEqual(caught.exception.code, Code.RESOURCES)

    def test_what_is_reserved_is_not_free(self) -> None:
        disk = a_disk("d", Template.PLAIN, nodes=("node1",), size=100, forthcoming=True)
        new1 = an_instance(
            "new1", node="node1", disks=[disk], beparams={"maxmem": 96}, forthcoming=True
        )
        state = a_cluster(nodes=["node1"], instances=[new1])
        [found] = candidates(state.nodes.values(), Template.DRBD, state, lambda _: FACTS)
        self.assertEqual(
            (found.space.memory, found.space.disk), (FACTS.memory_free - 96, 400 - 100)
        )
        words = "400 MiB of free disk space, of which reserved instances hold 100 MiB, but 301 MiB"
        with self.assertRaisesRegex(Refused, words):
            require_space(state.master, FACTS, Template.PLAIN, [301], state=state)

    def test_what_an_allocation_uses_is_missing_afterwards(self) -> None:
        left = spent(FACTS, Template.DRBD, memory=500, disk=100)
        self.assertEqual(left.memory_free, 1500)
        self.assertEqual([unit.free for unit in left.storage], [300, 8000])
        shared = spent(FACTS, Template.RBD, memory=0, disk=100)
        self.assertEqual(shared, FACTS)

    def test_only_storage_that_the_cluster_has_is_asked_for(self) -> None:
        folders = {"file_storage_dir": "/srv", "shared_file_storage_dir": ""}
        for over, units in (
            ({"enabled_disk_templates": ("plain",)}, (("file", "/srv"), ("lvm-vg", "vg0"))),
            ({"enabled_disk_templates": ("file", "rbd")}, (("file", "/srv"),)),
            ({"volume_group_name": None}, (("file", "/srv"),)),
        ):
            self.assertEqual(storage_units(a_cluster(**folders, **over).cluster), units, over)
