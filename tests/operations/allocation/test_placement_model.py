# SPDX-License-Identifier: BSD-2-Clause
"""The model for searches: what is read from the configuration, and what nodes say."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.operations.allocation.placement_model import (
    EVERYTHING,
    STEP,
    Selection,
    build_model,
    storage_of,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.placement.cluster_model import (
    ClusterModel,
    InstanceModel,
    NodeModel,
    NodeState,
    Storage,
)
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import some_facts

NODES = ("node1", "node2", "node3")
SIZES = {"minmem": 256, "maxmem": 1024, "vcpus": 2, "spindle_use": 3}
VOLUMES = StorageSpace(kind="lvm-vg", name="vg0", size=5000, free=4000)


def answers(**known: NodeInfo | Failed) -> NodeAnswers:
    """Return the answers of node1 to node3, of which those that are ``known`` differ."""
    given = {**{name: some_facts() for name in NODES}, **known}
    return NodeAnswers({(uuid_of("node", name), DescribeNode): given[name] for name in given})


def model(
    state: ClusterState, facts: NodeAnswers | None = None, selection: Selection = EVERYTHING
) -> ClusterModel:
    steps = build_model(state, facts or answers(), selection)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: ClusterModel = end.value
            return found


def built(template: Template, name: str = "web1", **over: Any) -> Built:
    disks = [a_disk(f"{name}/{n}", template, nodes=("node1", "node2"), size=100) for n in (1, 2)]
    return an_instance(name, disks=disks, **{"hypervisor": "kvm", "beparams": SIZES, **over})


class ReservationTests(SynchronousTestCase):
    def test_what_is_reserved_stays_where_it_is_and_takes_its_space(self) -> None:
        facts = answers(node1=some_facts(storage=(VOLUMES,)))
        disk = a_disk("new1/0", Template.PLAIN, nodes=("node1",), size=100, forthcoming=True)
        new1 = an_instance("new1", disks=[disk], hypervisor="kvm", forthcoming=True)
        state = a_cluster(nodes=NODES, instances=[new1], enabled_disk_templates=("plain",))
        found = model(state, facts)
        self.assertFalse(found.instances[0].movable)
        free = {node.name: node.disk_free for node in found.nodes}
        self.assertEqual(free["node1"], VOLUMES.free - 100)


class InstanceTests(SynchronousTestCase):
    def instance(
        self,
        one: Built,
        facts: NodeAnswers | None = None,
        selection: Selection = EVERYTHING,
        **over: Any,
    ) -> InstanceModel:
        state = a_cluster(**{"nodes": NODES, "instances": [one], **over})
        [found] = model(state, facts, selection).instances
        return found

    def test_a_mirrored_instance_uses_both_nodes(self) -> None:
        expected = InstanceModel(
            name="web1",
            memory=1024,
            disk=2 * (100 + 128),
            vcpus=2,
            storage=Storage.MIRRORED,
            primary="node1",
            secondary="node2",
            spindles=3,
            reserved=256,
        )
        self.assertEqual(self.instance(built(Template.DRBD)), expected)

    def test_shared_disks_use_no_space_of_a_node(self) -> None:
        found = self.instance(built(Template.SHAREDFILE))
        self.assertEqual((found.storage, found.disk, found.spindles), (Storage.SHARED, 0, 0))
        self.assertEqual((found.secondary, found.reserved), (None, 0))

    def test_every_template_has_its_kind_of_storage(self) -> None:
        for template, storage in (
            (Template.DRBD, Storage.MIRRORED),
            (Template.SHAREDFILE, Storage.SHARED),
            (Template.RBD, Storage.SHARED),
            (Template.DISKLESS, Storage.SHARED),
            (Template.PLAIN, Storage.LOCAL),
            (Template.FILE, Storage.LOCAL),
        ):
            self.assertIs(storage_of(template), storage, template)

    def test_one_that_is_marked_offline_needs_no_memory_and_one_that_is_down_does(self) -> None:
        for state, memory, reserved in (
            (AdminState.UP, 1024, 256),
            (AdminState.DOWN, 1024, 256),
            (AdminState.OFFLINE, 0, 0),
        ):
            found = self.instance(built(Template.DRBD, admin_state=state))
            self.assertEqual((found.memory, found.reserved), (memory, reserved), state)
            self.assertEqual(found.running, state is AdminState.UP)

    def test_one_without_automatic_balancing_stays_and_reserves_nothing(self) -> None:
        found = self.instance(built(Template.DRBD, beparams={**SIZES, "auto_balance": False}))
        self.assertEqual((found.movable, found.reserved), (False, 0))

    def test_one_with_a_single_disk_and_one_without_any_are_read(self) -> None:
        one = an_instance("web1", disks=[a_disk("disk1", Template.PLAIN, size=100)])
        self.assertEqual(self.instance(one).disk, 100)
        found = self.instance(an_instance("web1"))
        self.assertEqual((found.disk, found.storage), (0, Storage.SHARED))

    def test_guests_of_the_hypervisor_fake_use_no_processors(self) -> None:
        self.assertEqual(self.instance(built(Template.FILE, hypervisor="fake")).vcpus, 0)

    def test_one_with_a_silent_node_stays_unless_the_node_is_offline(self) -> None:
        silent = answers(node2=Failed("no answer"))
        self.assertFalse(self.instance(built(Template.DRBD), silent).movable)
        nodes = ["node1", a_node("node2", offline=True), "node3"]
        self.assertTrue(self.instance(built(Template.DRBD), silent, nodes=nodes).movable)
        self.assertTrue(self.instance(built(Template.PLAIN), silent).movable)

    def test_only_tags_that_the_cluster_names_exclude_each_other(self) -> None:
        tagged = built(Template.PLAIN, tags=("service:web", "owner:ann", "services", "rack:1"))
        kinds = ("htools:iextags:service", "htools:iextags:rack", "service")
        found = self.instance(tagged, tags=kinds)
        self.assertEqual(found.exclusion_tags, ("rack:1", "service:web"))
        self.assertEqual(self.instance(tagged).exclusion_tags, ())


class SelectionTests(SynchronousTestCase):
    def movable(self, **selection: Any) -> set[str]:
        instances = [
            built(Template.DRBD, "db1", tags=("a",)),
            built(Template.PLAIN, "web1", tags=("b",)),
            built(Template.PLAIN, "web3", node="node3"),
        ]
        state = a_cluster(
            nodes=["node1", "node2", a_node("node3", group="far")],
            groups=["default", "far"],
            instances=instances,
        )
        found = model(state, selection=Selection(**selection))
        self.assertEqual(len(found.instances), 3)
        return {instance.name for instance in found.instances if instance.movable}

    def test_everything_may_move_unless_selected(self) -> None:
        self.assertEqual(self.movable(), {"db1", "web1", "web3"})

    def test_instances_are_selected_by_group_node_and_tag(self) -> None:
        for selection, names in (
            ({"group": uuid_of("group", "default")}, {"db1", "web1"}),
            ({"nodes": [uuid_of("node", "node2")]}, {"db1"}),
            (
                {"nodes": [uuid_of("node", name) for name in ("node1", "node3")]},
                {"db1", "web1", "web3"},
            ),
            ({"tags": ["b", "x"]}, {"web1"}),
            ({"tags": ["b"], "nodes": [uuid_of("node", "node2")]}, set()),
        ):
            self.assertEqual(self.movable(**selection), names, selection)


class NodeTests(SynchronousTestCase):
    def nodes(self, state: ClusterState, facts: NodeAnswers | None = None) -> dict[str, NodeModel]:
        return {node.name: node for node in model(state, facts).nodes}

    def test_a_node_has_what_it_says_and_the_limits_of_its_group(self) -> None:
        policy = {"vcpu-ratio": 2.0, "spindle-ratio": 5.0}
        node = a_node("node1", ndparams={"spindle_count": 4})
        state = a_cluster(nodes=[node], groups=[a_group(ipolicy=policy)])
        facts = answers(node1=some_facts(memory_free=2000, storage=(VOLUMES,)))
        expected = NodeModel(
            name="node1",
            group="default",
            memory=32768,
            memory_free=2000,
            disk=5000,
            disk_free=4000,
            cpus=8,
            spindles=4,
            vcpu_ratio=2.0,
            spindle_ratio=5.0,
        )
        self.assertEqual(self.nodes(state, facts)["node1"], expected)

    def test_memory_that_guests_will_still_need_is_not_free(self) -> None:
        running = some_facts(
            memory_free=2000,
            guests={
                "web1": GuestState(name="web1", memory=1000, vcpus=2),
                "web2": GuestState(name="web2", memory=5000, vcpus=2),
            },
        )
        down = built(Template.PLAIN, "web3", admin_state=AdminState.DOWN)
        apart = built(Template.PLAIN, "web4", admin_state=AdminState.OFFLINE)
        guests = [built(Template.PLAIN, "web1"), built(Template.PLAIN, "web2")]
        state = a_cluster(nodes=NODES, instances=[*guests, down, apart])
        found = self.nodes(state, answers(node1=running))["node1"]
        self.assertEqual(found.memory_free, 2000 - 24 - 0 - 1024 - 0)

    def test_free_memory_may_be_negative(self) -> None:
        state = a_cluster(nodes=NODES, instances=[built(Template.PLAIN)])
        found = self.nodes(state, answers(node1=some_facts(memory_free=1000)))
        self.assertEqual(found["node1"].memory_free, -24)

    def test_the_roles_of_a_node_decide_whether_it_may_receive_instances(self) -> None:
        cases: tuple[tuple[dict[str, Any], NodeState], ...] = (
            ({}, NodeState.USABLE),
            ({"drained": True}, NodeState.DRAINED),
            ({"vm_capable": False}, NodeState.DRAINED),
            ({"offline": True}, NodeState.OFFLINE),
            ({"offline": True, "drained": True}, NodeState.OFFLINE),
        )
        for fields, expected in cases:
            state = a_cluster(nodes=["node1", a_node("node2", **fields)])
            self.assertIs(self.nodes(state)["node2"].state, expected, fields)

    def test_a_silent_node_is_offline_and_has_nothing_free(self) -> None:
        state = a_cluster(nodes=NODES)
        found = self.nodes(state, answers(node1=Failed("no answer")))["node1"]
        self.assertIs(found.state, NodeState.OFFLINE)
        self.assertEqual((found.memory, found.memory_free, found.cpus), (0, 0, 0))
        self.assertEqual((found.disk, found.disk_free), (0, 0))

    def test_disk_space_is_that_of_the_storage_that_instances_use(self) -> None:
        files = StorageSpace(kind="file", name="/srv", size=900, free=800)
        facts = answers(node1=some_facts(storage=(files, VOLUMES)))
        for templates, space in (
            (("plain", "file"), (5000, 4000)),
            (("drbd",), (5000, 4000)),
            (("file", "sharedfile"), (900, 800)),
        ):
            state = a_cluster(nodes=NODES, enabled_disk_templates=templates)
            found = self.nodes(state, facts)["node1"]
            self.assertEqual((found.disk, found.disk_free), space, templates)

    def test_failure_domains_are_tags_of_the_kinds_that_the_cluster_names(self) -> None:
        node = a_node("node1", tags=("power:2", "power:1", "site:a"))
        state = a_cluster(nodes=[node], tags=("htools:nlocation:power",))
        self.assertEqual(self.nodes(state)["node1"].domains, ("power:1", "power:2"))


class StepTests(SynchronousTestCase):
    def test_others_run_while_a_large_model_is_made(self) -> None:
        for count, pauses in ((STEP - 1, 0), (STEP, 1), (2 * STEP + 1, 2)):
            instances = [an_instance(f"web{number}") for number in range(count)]
            steps = build_model(a_cluster(instances=instances), answers())
            self.assertEqual(len(list(steps)), pauses)
