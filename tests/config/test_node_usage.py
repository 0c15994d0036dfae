# SPDX-License-Identifier: BSD-2-Clause
"""What is kept with the state for lookups and sums, compared with a recount of everything."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from immutables import Map
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.node_usage import Amount
from ganeti.config.state import ClusterState, Stored, make_state
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState
from ganeti.schema.records import replace
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

NODES = ("node1", "node2", "node3")
START = a_cluster(
    nodes=NODES, groups=("default", "second"), networks=[a_network("lan"), a_network("wan")]
)
DISK = a_disk("1", Template.DRBD, nodes=("node1", "node2"))
STATE = a_cluster(nodes=NODES, instances=[an_instance("web1.example.com", disks=[DISK])])

nodes = st.sampled_from(NODES)
backends = st.fixed_dictionaries(
    {},
    optional={
        "maxmem": st.sampled_from((0, 64, 256)),
        "minmem": st.sampled_from((32, 64)),
        "vcpus": st.sampled_from((1, 4)),
        "spindle_use": st.sampled_from((1, 2)),
        "auto_balance": st.booleans(),
    },
)
tags = st.sets(st.sampled_from(("red", "green"))).map(lambda found: tuple(sorted(found)))


@st.composite
def disks(draw: st.DrawFn, name: str) -> Disk:
    """A disk of a few sizes, mirrored or not."""
    one, other, *_ = draw(st.permutations(NODES))
    more = {"size": draw(st.sampled_from((0, 1, 2))), "forthcoming": draw(st.booleans())}
    if draw(st.booleans()):
        return a_disk(name, Template.DRBD, nodes=(one, other), **more)
    return a_disk(name, Template.FILE, nodes=(one,), **more)


@st.composite
def instances(draw: st.DrawFn, number: int) -> tuple[Stored, ...]:
    """An instance with up to two disks of its own; the disks are first, or last."""
    own = [draw(disks(f"{number}{n}")) for n in range(draw(st.integers(0, 2)))]
    network = draw(st.sampled_from((None, uuid_of("network", "lan"), uuid_of("network", "wan"))))
    built = an_instance(
        f"web{number}.{draw(st.sampled_from(('a', 'b')))}.example",
        node=draw(nodes),
        disks=own,
        uuid=uuid_of("instance", f"web{number}"),
        beparams=draw(backends),
        tags=draw(tags),
        nics=(a_nic(f"{number}", network=network),),
        admin_state=draw(st.sampled_from(AdminState)),
        hypervisor=draw(st.sampled_from(("fake", "kvm"))),
        forthcoming=draw(st.booleans()),
    )
    records: list[Stored] = [*built.disks, built.instance]
    return tuple(reversed(records) if draw(st.booleans()) else records)


hosts = st.builds(
    lambda name, group, tags: (a_node(name, group=group, tags=tags),),
    nodes,
    st.sampled_from(("default", "second")),
    tags,
)
groups = st.builds(lambda tags: (a_group("second", tags=tags),), tags)
removals = st.integers(1, 3)
steps = st.lists(
    st.one_of(st.integers(1, 3).flatmap(instances), hosts, groups, removals), max_size=8
)


def carry_out(step: Any, state: ClusterState) -> ClusterState:
    """Put some objects, or remove an instance and its disks."""
    if isinstance(step, int):
        instance = state.instances.get(uuid_of("instance", f"web{step}"))
        if instance is None:
            return state
        gone = state.get_disks(instance)
        state = state.remove(instance)
        for disk in gone:
            state = state.remove(disk)
        return state
    for record in step:
        state = state.put(record)
    used = {uuid for instance in state.instances.values() for uuid in instance.disks}
    for disk in [disk for disk in state.disks.values() if disk.uuid not in used]:
        state = state.remove(disk)
    return state


def recount(state: ClusterState) -> ClusterState:
    """Return the state as it is loaded from a file."""
    records = (each for same in state.objects.values() for each in same.values())
    return make_state(records, serial_no=1, ctime=0.0, mtime=0.0)


class RecountTests(SynchronousTestCase):
    @given(steps)
    def test_after_any_changes_all_is_as_counted_again(self, taken: list[Any]) -> None:
        state = START
        for step in taken:
            state = carry_out(step, state)
            again = recount(state)
            self.assertEqual(state.usage, again.usage)
            self.assertEqual(state.indexes, again.indexes)


class UsageTests(SynchronousTestCase):
    def test_a_new_default_counts_for_instances_without_a_value(self) -> None:
        usage = STATE.get_usage(STATE.node("node1"))
        self.assertEqual(usage.memory, Amount(own=0, defaulted=1))
        self.assertEqual(usage.memory.total(512), 512)

    def test_a_secondary_node_reserves_the_memory_of_the_largest_peer(self) -> None:
        other = a_disk("2", Template.DRBD, nodes=("node3", "node2"))
        peer = an_instance("db", node="node3", disks=[other], beparams={"minmem": 64})
        state = STATE.put(other).put(peer.instance)
        usage = state.get_usage(state.node("node2"))
        self.assertEqual(usage.reserved(128, True), 128)

    def test_an_instance_that_is_not_balanced_reserves_nothing(self) -> None:
        web = STATE.instance("web1")
        state = STATE.put(replace(web, beparams={"auto_balance": False}))
        usage = state.get_usage(state.node("node2"))
        self.assertEqual(usage.reserved(128, True), 0)

    def test_both_nodes_hold_a_mirrored_disk_with_its_metadata(self) -> None:
        for name in ("node1", "node2"):
            usage = STATE.get_usage(STATE.node(name))
            self.assertEqual(usage.disk, Map({Template.DRBD: 1024 + 128}))

    def test_a_reserved_instance_holds_memory_and_disk_space(self) -> None:
        disk = replace(DISK, forthcoming=True)
        new1 = an_instance("new1", disks=[disk], forthcoming=True, beparams={"maxmem": 96})
        state = a_cluster(nodes=NODES, instances=[new1])
        primary, secondary = (state.get_usage(state.node(name)) for name in NODES[:2])
        self.assertEqual((primary.held, secondary.held), (Amount(own=96), Amount()))
        self.assertEqual(primary.held_disk, primary.disk)
        self.assertEqual(secondary.held_disk, Map({Template.DRBD: disk.size + 128}))

    def test_a_reserved_disk_in_a_thin_pool_takes_no_free_space(self) -> None:
        disk = a_disk("d", Template.PLAIN, nodes=NODES[:1], forthcoming=True)
        thin = replace(disk, params={"pool": "thin"})
        states = [
            a_cluster(nodes=NODES, instances=[an_instance("new1", disks=[each], forthcoming=True)])
            for each in (disk, thin)
        ]
        # Counted at once, and by a change.
        for state in (states[1], states[0].put(thin)):
            usage = state.get_usage(state.node(NODES[0]))
            self.assertEqual((usage.held_disk, usage.disk), (Map(), Map({Template.PLAIN: 1024})))

    def test_a_change_of_tags_leaves_usage_untouched(self) -> None:
        web = STATE.instance("web1")
        after = STATE.put(replace(web, tags=("red",)))
        self.assertIs(after.usage, STATE.usage)
        self.assertEqual(list(after.list_tags()), [("red", [after.instance("web1")])])


class InvalidValueTests(SynchronousTestCase):
    """Values that only an edited or imported file can have."""

    def memory_of(self, value: object) -> Amount:
        web = an_instance("web1.example.com", node="node1", beparams={"maxmem": value})
        state = a_cluster(nodes=NODES, instances=[web])
        return state.get_usage(state.node("node1")).memory

    def test_a_number_may_be_written_as_text(self) -> None:
        self.assertEqual(self.memory_of("512"), Amount(own=512))

    def test_what_is_no_number_counts_as_the_default(self) -> None:
        for value in ("much", [512], 0.5):
            self.assertEqual(self.memory_of(value), Amount(defaulted=1), value)
