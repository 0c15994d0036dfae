# SPDX-License-Identifier: BSD-2-Clause
"""Fields of nodes, groups and networks."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
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
from ganeti.views import groups, networks, nodes
from ganeti.views.groups import GROUPS
from ganeti.views.networks import NETWORKS
from ganeti.views.nodes import NODES
from tests.views.moments import a_moment, only, some_facts


def a_pair() -> ClusterState:
    net = uuid_of("network", "net1")
    mirrored = [a_disk("d0", Template.DRBD, nodes=("node1", "node2"), spindles=2)]
    return a_cluster(
        nodes=["node1", a_node("node2", drained=True)],
        groups=[
            a_group(
                ndparams={"exclusive_storage": True, "spindle_count": 5},
                networks={net: {"mode": "bridged", "link": "br7", "vlan": ""}},
                diskparams={"drbd": {"resync-rate": 1}},
            )
        ],
        networks=[a_network("net1", reservations="00100000")],
        instances=[
            an_instance("web10", disks=mirrored, nics=(a_nic(network=net),)),
            an_instance("web9"),
        ],
    )


class NodeTests(SynchronousTestCase):
    def shown(self, state: ClusterState, name: str, *fields: str, **more: Any) -> list[Any]:
        return only(NODES.select(fields, nodes.rows(a_moment(state, **more), [name])))

    def test_instances_are_listed_in_natural_order(self) -> None:
        self.assertEqual(
            self.shown(a_pair(), "node1", "pinst_cnt", "pinst_list", "sinst_list"),
            [[0, 2], [0, ["web9", "web10"]], [0, []]],
        )
        self.assertEqual(self.shown(a_pair(), "node2", "sinst_list"), [[0, ["web10"]]])

    def test_roles_are_letters(self) -> None:
        found = NODES.plain(["name", "role", "master"], nodes.rows(a_moment(a_pair())))
        self.assertEqual(found, [["node1", "M", True], ["node2", "D", False]])

    def test_what_it_says(self) -> None:
        fields = ("mtotal", "mfree", "mnode", "ctotal", "cnos", "cnodes", "csockets", "bootid")
        self.assertEqual(
            self.shown(a_cluster(), "node1", *fields),
            [[0, each] for each in (4096, 1024, 512, 8, 1, 1, 2, "b00t")],
        )

    def test_space_is_that_of_the_first_disk_template(self) -> None:
        for template, expected in (("drbd", 700), ("file", 400), ("diskless", 400)):
            state = a_cluster(enabled_disk_templates=(template,))
            self.assertEqual(self.shown(state, "node1", "dfree"), [[0, expected]])
        silent = {"facts": {"node1": some_facts(storage=())}}
        self.assertEqual(self.shown(a_cluster(), "node1", "dfree", **silent), [[3, None]])

    def test_why_it_says_nothing(self) -> None:
        cases: tuple[tuple[dict[str, Any], int], ...] = (
            ({"offline": True}, 4),
            ({"vm_capable": False}, 3),
            ({}, 2),
        )
        for settings, status in cases:
            state = a_cluster(nodes=["node1", a_node("node2", **settings)])
            found = self.shown(state, "node2", "mfree", "dfree", facts={})
            self.assertEqual(found, [[status, None]] * 2)

    def test_spindles_are_counted_with_exclusive_storage_only(self) -> None:
        self.assertEqual(self.shown(a_pair(), "node2", "sptotal", "spfree"), [[0, 5], [0, 3]])
        self.assertEqual(self.shown(a_cluster(), "node1", "spfree"), [[3, None]])

    def test_power_is_known_with_a_helper_only(self) -> None:
        self.assertEqual(self.shown(a_cluster(), "node1", "powered"), [[3, None]])
        state = a_cluster(nodes=[a_node(ndparams={"oob_program": "/bin/oob"})])
        self.assertEqual(self.shown(state, "node1", "powered"), [[0, True]])


class GroupTests(SynchronousTestCase):
    def test_nodes_and_instances(self) -> None:
        fields = ("name", "node_list", "pinst_cnt", "pinst_list", "ndp/spindle_count")
        self.assertEqual(
            only(GROUPS.plain(fields, groups.rows(a_moment(a_pair()), ["default"]))),
            ["default", ["node1", "node2"], 2, ["web9", "web10"], 5],
        )

    def test_parameters_are_filled_in(self) -> None:
        fields = ("diskparams", "custom_diskparams", "ipolicy", "custom_ipolicy")
        row = only(GROUPS.plain(fields, groups.rows(a_moment(a_pair()))))
        self.assertEqual(row[0]["drbd"]["resync-rate"], 1)
        self.assertEqual(set(row[0]), {each.value for each in Template})
        self.assertEqual(row[1], {"drbd": {"resync-rate": 1}})
        self.assertIn("minmax", row[2])
        self.assertEqual(row[3], {})


class NetworkTests(SynchronousTestCase):
    def shown(self, *fields: str) -> list[Any]:
        return only(NETWORKS.select(fields, networks.rows(a_moment(a_pair()), ["net1"])))

    def test_addresses(self) -> None:
        self.assertEqual(
            self.shown("map", "free_count", "reserved_count", "external_reservations"),
            [
                [0, "XXX....X"],
                [0, 4],
                [0, 4],
                [0, "203.0.113.0, 203.0.113.1, 203.0.113.7"],
            ],
        )

    @given(st.text("01", max_size=20), st.text("01", max_size=20))
    def test_an_address_is_taken_by_instances_or_reserved(self, own: str, outside: str) -> None:
        network = a_network("net1", reservations=own, ext_reservations=outside)
        each = zip_longest(own, outside)
        self.assertEqual(
            networks.NetworkRow(a_moment(a_cluster()), network).taken,
            "".join("X" if "1" in pair else "." for pair in each),
        )

    def test_who_uses_it(self) -> None:
        self.assertEqual(
            self.shown("group_cnt", "group_list", "inst_cnt", "inst_list", "network6"),
            [[0, 1], [0, [["default", "bridged", "br7", ""]]], [0, 1], [0, ["web10"]], [3, None]],
        )
