# SPDX-License-Identifier: BSD-2-Clause
"""Lists of objects: what is encoded again, and that nothing stale is ever told."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Invalid, Refused
from ganeti.model.guest import GuestState
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_network, a_nic, an_instance, uuid_of
from ganeti.views.groups import GROUPS
from ganeti.views.groups import rows as group_rows
from ganeti.views.instances.instance_fields import INSTANCES
from ganeti.views.instances.instance_lists import InstanceObjects
from ganeti.views.instances.order import InstanceOrder
from ganeti.views.instances.row import rows
from ganeti.views.json_rows import CachedList, objects
from ganeti.views.networks import NETWORKS
from ganeti.views.networks import rows as network_rows
from ganeti.views.node_status import StatusCache
from ganeti.views.nodes import NODES
from ganeti.views.nodes import rows as node_rows
from ganeti.views.snapshot import ClusterSnapshot
from tests.views.moments import Told, a_moment, some_facts

NODE_FIELDS = ("name", "mfree", "dfree", "pinst_list", "sinst_cnt", "offline", "role")
FIELDS = (
    "name",
    "status",
    "oper_ram",
    "tags",
    "disk.sizes",
    "pnode",
    "beparams",
    "nic.networks.names",
)


class ObjectTests(SynchronousTestCase):
    def test_a_value_that_there_is_not_is_null(self) -> None:
        moment = a_moment(a_cluster(), {})
        self.assertEqual(
            json.loads(objects(NODES, ["name", "mfree"], node_rows(moment))),
            [{"name": "node1", "mfree": None}],
        )

    def test_unknown_fields_are_refused(self) -> None:
        self.assertRaises(Invalid, objects, NODES, ["colour"], [])
        self.assertRaises(Invalid, InstanceObjects, ["colour"])


class ListTests(SynchronousTestCase):
    def test_when_nothing_changed_the_list_is_the_same_bytes(self) -> None:
        state, told = a_cluster(nodes=["node1", "node2"]), Told({"node1": some_facts("a")})
        watch = StatusCache(told)
        found = CachedList(NODES, node_rows, NODE_FIELDS)
        first = found.everything(ClusterSnapshot(state, watch.now(state.nodes)))
        self.assertIs(first, found.everything(ClusterSnapshot(state, watch.now(state.nodes))))

    @settings(max_examples=40, deadline=None)
    @given(st.randoms(use_true_random=False), st.lists(st.integers(0, 7), max_size=12))
    def test_what_is_told_is_never_stale(self, chance: random.Random, steps: list[int]) -> None:
        state, told = a_small_cluster(), Told({"node1": some_facts("a", "b")})
        watch = StatusCache(told)
        kinds = (
            (NODES, node_rows, NODE_FIELDS),
            (GROUPS, group_rows, ("name", "node_list", "pinst_list", "tags")),
            (NETWORKS, network_rows, ("name", "inst_list", "map", "group_list")),
        )
        lists: list[CachedList[Any]] = [CachedList(*kind) for kind in kinds]
        for step in steps:
            state = CHANGES[step](state, told, chance)
            moment = ClusterSnapshot(state, watch.now(state.nodes))
            for (table, all_rows, fields), found in zip(kinds, lists, strict=True):
                again = objects(table, fields, all_rows(moment))  # type: ignore[arg-type]
                self.assertEqual(found.everything(moment), again)


class InstanceTests(SynchronousTestCase):
    def test_some_come_in_the_order_asked_for(self) -> None:
        found = InstanceObjects(["name"])
        moment = a_moment(a_cluster(instances=["a", "b"]))
        self.assertEqual(found.some(moment, ["b", "a"]), b'[{"name":"b"},{"name":"a"}]')
        self.assertRaises(Refused, found.some, moment, ["c"])

    def test_when_nothing_changed_the_list_is_the_same_bytes(self) -> None:
        state = a_cluster(instances=["a", "b"])
        watch = StatusCache(Told({"node1": some_facts("a")}))
        found = InstanceObjects(FIELDS)
        first = found.everything(ClusterSnapshot(state, watch.now(state.nodes)))
        self.assertIs(first, found.everything(ClusterSnapshot(state, watch.now(state.nodes))))

    def test_a_port_taken_elsewhere_makes_no_work(self) -> None:
        state = a_cluster(instances=["a"])
        found = InstanceObjects(FIELDS)
        found.everything(a_moment(state))
        made = dict(found._pieces)
        found.everything(a_moment(state.put(replace(state.cluster, highest_used_port=11001))))
        self.assertEqual(list(found._pieces), list(made))
        self.assertTrue(all(found._pieces[uuid] is made[uuid] for uuid in made))

    def test_what_is_gone_is_forgotten(self) -> None:
        state = a_cluster(instances=["a", "b"])
        found = InstanceObjects(["name"])
        found.everything(a_moment(state))
        left = state.remove(state.instance("a"))
        self.assertEqual(found.everything(a_moment(left)), b'[{"name":"b"}]')
        self.assertEqual(len(found._pieces), 1)

    @settings(max_examples=40, deadline=None)
    @given(st.randoms(use_true_random=False), st.lists(st.integers(0, 7), max_size=12))
    def test_what_is_told_is_never_stale(self, chance: random.Random, steps: list[int]) -> None:
        state, told = a_small_cluster(), Told({"node1": some_facts("a", "b")})
        watch, found = StatusCache(told), InstanceObjects(FIELDS)
        for step in steps:
            state = CHANGES[step](state, told, chance)
            moment = ClusterSnapshot(state, watch.now(state.nodes))
            if chance.random() < 0.5:
                names = [instance.name for instance in state.instances.values()][:1]
                self.assertEqual(found.some(moment, names), fresh(moment, names))
            self.assertEqual(found.everything(moment), fresh(moment))

    @settings(max_examples=40, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 12))
    def test_lists_that_share_an_order_see_who_comes_and_goes(
        self, chance: random.Random, steps: int
    ) -> None:
        state, order = a_cluster(instances=["a", "b"]), InstanceOrder()
        watch = StatusCache(Told({"node1": some_facts("a")}))
        lists = [InstanceObjects(FIELDS, order), InstanceObjects(FIELDS, order)]
        for _ in range(steps):
            each = chance.choice(list(state.instances.values()))
            state = chance.choice(
                (
                    state.put(an_instance(f"web{chance.randrange(99)}").instance),
                    state.put(replace(each, tags=(str(chance.random()),))),
                    state.put(replace(each, name=f"db{chance.randrange(99)}.{each.uuid}")),
                    state.remove(each) if len(state.instances) > 1 else state,
                )
            )
            moment = ClusterSnapshot(state, watch.now(state.nodes))
            found = chance.choice(lists)
            self.assertEqual(found.everything(moment), fresh(moment))


def fresh(moment: ClusterSnapshot, names: list[str] | None = None) -> bytes:
    return objects(INSTANCES, FIELDS, rows(moment, names))


def a_small_cluster() -> ClusterState:
    nics = (a_nic("n0", network=uuid_of("network", "net1")),)
    return a_cluster(
        nodes=["node1", "node2"],
        networks=[a_network("net1")],
        instances=[an_instance("a", disks=[a_disk("d0")], nics=nics), "b"],
    )


def _some(state: ClusterState, chance: random.Random) -> Any:
    return state.instance(chance.choice("ab"))


def _tag(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    return state.put(replace(_some(state, chance), tags=(str(chance.random()),)))


def _grow(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    [disk] = state.disks.values()
    return state.put(replace(disk, size=chance.randrange(9999)))


def _rename_node(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    node = state.nodes[uuid_of("node", "node1")]
    return state.put(replace(node, name=f"node{chance.randrange(10, 99)}"))


def _rename_network(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    [network] = state.networks.values()
    return state.put(replace(network, name=f"net{chance.randrange(99)}"))


def _set_default(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    default = {"maxmem": chance.randrange(999)}
    return state.put(replace(state.cluster, beparams={"default": default}))


def _say(state: ClusterState, told: Told, chance: random.Random) -> ClusterState:
    for name in ("node1", "node2"):
        running = {
            guest: GuestState(name=guest, memory=chance.randrange(3), vcpus=1)
            for guest in "ab"
            if chance.random() < 0.5
        }
        told.known[uuid_of("node", name)] = some_facts(guests=running)
    return state


def _be_silent(state: ClusterState, told: Told, chance: random.Random) -> ClusterState:
    told.known.pop(uuid_of("node", chance.choice(["node1", "node2"])), None)
    return state


def _offline(state: ClusterState, _: Told, chance: random.Random) -> ClusterState:
    node = state.nodes[uuid_of("node", "node1")]
    return state.put(replace(node, offline=chance.random() < 0.5))


CHANGES = (
    _tag,
    _grow,
    _rename_node,
    _rename_network,
    _set_default,
    _say,
    _be_silent,
    _offline,
)
