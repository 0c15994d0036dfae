# SPDX-License-Identifier: BSD-2-Clause
"""Each disk and network card has fields by its index, and a list of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.query.fields import FieldStatus, FieldType, Table
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_nic,
    an_instance,
    uuid_of,
)
from ganeti.views.instances.parts import (
    DISKS,
    MAX_DISKS,
    MAX_NICS,
    NICS,
    FieldFamily,
    device_fields,
)
from ganeti.views.instances.row import InstanceRow, rows
from tests.views.moments import a_moment

FIELDS = Table(device_fields(), key="disk.count")
UNAVAILABLE = FieldStatus.UNAVAILABLE


def a_row(**over: Any) -> InstanceRow:
    """An instance of a cluster whose cards are bridged to br0 by default."""
    state = a_cluster(networks=[a_network("lan")], instances=[an_instance("web1", **over)])
    [row] = rows(a_moment(state))
    return row


def values(row: InstanceRow, *names: str) -> list[object]:
    return [FIELDS.fields[name].value(row) for name in names]


class FamilyTests(SynchronousTestCase):
    def family(self, found: Sequence[object], *, plural: str = "things", count: int = 3) -> Any:
        made = FieldFamily(
            "thing", "Thing", plural, "Things", "The thing", lambda _: found, count=count
        )
        return {field.name: field for field in made.fields()}

    def test_there_is_a_list_and_a_field_for_each_index(self) -> None:
        found = self.family(["a", "b"])
        self.assertEqual(list(found), ["things", "thing/0", "thing/1", "thing/2"])
        self.assertEqual(found["things"].title, "Things")
        self.assertEqual(found["thing/1"].title, "Thing/1")
        self.assertEqual(found["thing/1"].doc, "The thing 1.")
        self.assertEqual(found["things"].kind, FieldType.OTHER)

    def test_the_list_can_be_left_out(self) -> None:
        self.assertEqual(list(self.family([], plural="", count=1)), ["thing/0"])

    def test_an_index_that_there_is_not_is_unavailable(self) -> None:
        found, row = self.family(["a", None, 0]), a_row()
        shown = [found[f"thing/{number}"].value(row) for number in range(3)]
        self.assertEqual(shown, ["a", UNAVAILABLE, 0])
        self.assertIs(self.family(["a"])["thing/1"].value(row), UNAVAILABLE)

    def test_the_list_has_a_place_for_what_is_unknown(self) -> None:
        self.assertEqual(self.family(["a", None])["things"].value(a_row()), ["a", None])


class DiskTests(SynchronousTestCase):
    def test_there_are_fields_for_as_many_as_an_instance_can_have(self) -> None:
        for family in DISKS:
            names = [field.name for field in family.fields()]
            self.assertEqual(names[-1], f"{family.each}/{MAX_DISKS - 1}")
        for family in NICS:
            self.assertEqual(list(family.fields())[-1].name, f"{family.each}/{MAX_NICS - 1}")

    def test_they_are_in_the_order_of_the_instance(self) -> None:
        disks = [replace(a_disk("d0", size=10), name="root"), a_disk("d1", size=20, spindles=2)]
        row = a_row(disks=disks)
        self.assertEqual(values(row, "disk.count", "disk.sizes"), [2, [10, 20]])
        self.assertEqual(values(row, "disk.size/1", "disk.size/2"), [20, UNAVAILABLE])
        self.assertEqual(values(row, "disk.name/0", "disk.name/1"), ["root", UNAVAILABLE])
        self.assertEqual(values(row, "disk.uuid/1"), [uuid_of("disk", "d1")])
        self.assertEqual(values(row, "disk.spindles"), [[None, 2]])

    def test_without_disks_the_lists_are_empty(self) -> None:
        wanted = [0, [], UNAVAILABLE]
        self.assertEqual(values(a_row(), "disk.count", "disk.uuids", "disk.uuid/0"), wanted)


class NicTests(SynchronousTestCase):
    def test_the_parameters_of_the_cluster_count_where_a_card_has_none(self) -> None:
        cards = (a_nic("n0"), a_nic("n1", nicparams={"link": "br7"}))
        row = a_row(nics=cards)
        self.assertEqual(values(row, "nic.modes", "nic.links"), [["bridged"] * 2, ["br0", "br7"]])

    def test_a_bridged_card_has_a_vlan_if_one_is_set(self) -> None:
        row = a_row(nics=(a_nic("n0"), a_nic("n1", nicparams={"vlan": ".5:6"})))
        self.assertEqual(values(row, "nic.vlans"), [[None, ".5:6"]])

    def test_only_a_bridged_card_has_a_bridge_and_no_routed_one_a_vlan(self) -> None:
        switched = {"mode": "openvswitch", "link": "ovs0", "vlan": ".5"}
        routed = {"mode": "routed", "link": "main", "vlan": ".7"}
        row = a_row(
            nics=(a_nic("n0"), a_nic("n1", nicparams=switched), a_nic("n2", nicparams=routed))
        )
        self.assertEqual(values(row, "nic.bridges"), [["br0", None, None]])
        self.assertEqual(values(row, "nic.vlans"), [[None, ".5", None]])
        self.assertEqual(values(row, "nic.vlan/0", "nic.vlan/1"), [UNAVAILABLE, ".5"])

    def test_a_network_has_a_uuid_and_a_name(self) -> None:
        uuid = uuid_of("network", "lan")
        row = a_row(nics=(a_nic("n0", network=uuid, ip="203.0.113.4"), a_nic("n1")))
        self.assertEqual(values(row, "nic.networks"), [[uuid, None]])
        self.assertEqual(values(row, "nic.networks.names"), [["lan", None]])
        self.assertEqual(
            values(row, "nic.network.name/0", "nic.network.name/1"), ["lan", UNAVAILABLE]
        )
        self.assertEqual(values(row, "nic.ips", "nic.count"), [["203.0.113.4", None], 2])
