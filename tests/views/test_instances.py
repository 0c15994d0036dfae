# SPDX-License-Identifier: BSD-2-Clause
"""Fields of instances, from the configuration and from what nodes say."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.query.fields import FieldStatus
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
from ganeti.views.instances.instance_fields import INSTANCES
from ganeti.views.instances.row import rows
from ganeti.views.snapshot import ClusterSnapshot
from tests.views.moments import a_moment, only, some_facts


def shown(moment: ClusterSnapshot, *fields: str) -> list[Any]:
    """The values of fields of the only instance."""
    return only(INSTANCES.plain(fields, rows(moment)))


def cells(moment: ClusterSnapshot, *fields: str) -> list[Any]:
    return only(INSTANCES.select(fields, rows(moment)))


def a_rich_one() -> ClusterState:
    """A mirrored instance with two disks and two different network cards."""
    nics = (
        replace(a_nic("n0", ip="192.0.2.7"), name="front"),
        a_nic(
            "n1",
            network=uuid_of("network", "net1"),
            nicparams={"mode": "openvswitch", "link": "ovs0", "vlan": ".5"},
        ),
    )
    disks = [
        replace(a_disk("d0", Template.DRBD, nodes=("node1", "node2"), size=1000), name="root"),
        a_disk("d1", Template.DRBD, nodes=("node1", "node2"), size=24),
    ]
    web = an_instance(
        "web1",
        disks=disks,
        nics=nics,
        hypervisor="kvm",
        hvparams={"kernel_path": "/vmlinuz"},
        beparams={"maxmem": 512},
        osparams={"size": "small"},
        osparams_private={"password": "xyz"},
        network_port=11007,
    )
    return a_cluster(
        nodes=["node1", a_node("node2", group="other")],
        groups=["default", a_group("other")],
        networks=[a_network("net1")],
        instances=[web],
        osparams={"noop": {"dhcp": "yes"}},
    )


class ConfigTests(SynchronousTestCase):
    def test_places(self) -> None:
        self.assertEqual(
            shown(a_moment(a_rich_one()), "pnode", "pnode.group", "snodes", "snodes.group"),
            ["node1", "default", ["node2"], ["other"]],
        )

    def test_disks(self) -> None:
        self.assertEqual(
            cells(
                a_moment(a_rich_one()),
                *("disk_template", "disk.count", "disk.sizes", "disk.names", "disk_usage"),
                *("disk.size/1", "disk.name/1", "disk.size/2", "sda_size", "disk.spindles"),
            ),
            [
                *([0, "drbd"], [0, 2], [0, [1000, 24]], [0, ["root", None]], [0, 1280]),
                *([0, 24], [3, None], [3, None], [0, 1000], [0, [None, None]]),
            ],
        )

    def test_disks_of_different_kinds_are_mixed(self) -> None:
        disks = [a_disk("d0", Template.FILE), a_disk("d1", Template.BLOCKDEV, size=7)]
        for given, expected in (([], ["diskless", 0]), (disks, ["mixed", 1024])):
            state = a_cluster(instances=[an_instance(disks=given)])
            self.assertEqual(shown(a_moment(state), "disk_template", "disk_usage"), expected)

    def test_network_cards(self) -> None:
        fields = ("ips", "modes", "links", "bridges", "vlans", "networks.names", "names")
        self.assertEqual(
            shown(a_moment(a_rich_one()), *(f"nic.{name}" for name in fields)),
            [
                ["192.0.2.7", None],
                ["bridged", "openvswitch"],
                ["br0", "ovs0"],
                ["br0", None],
                [None, ".5"],
                [None, "net1"],
                ["front", None],
            ],
        )
        self.assertEqual(
            cells(a_moment(a_rich_one()), "ip", "nic.ip/1", "nic.network.name/1", "nic.mac/2"),
            [[0, "192.0.2.7"], [3, None], [0, "net1"], [3, None]],
        )

    def test_parameters_are_filled_in(self) -> None:
        be, custom, own = shown(a_moment(a_rich_one()), "beparams", "custom_beparams", "vcpus")
        self.assertEqual((be["maxmem"], be["memory"], be["minmem"]), (512, 512, 128))
        self.assertEqual((custom, own), ({"maxmem": 512}, 1))

    def test_hypervisor_parameters_are_those_of_its_hypervisor(self) -> None:
        fields = ("hv/kernel_path", "hv/acpi", "hv/bootloader_path")
        found = cells(a_moment(a_rich_one()), *fields)
        self.assertEqual(found, [[0, "/vmlinuz"], [0, True], [3, None]])
        [filled] = shown(a_moment(a_rich_one()), "hvparams")
        self.assertNotIn("migration_port", filled)

    def test_private_parameters_are_never_shown(self) -> None:
        everything = shown(a_moment(a_rich_one()), *INSTANCES.fields)
        self.assertNotIn("xyz", str(everything))
        self.assertEqual(
            shown(a_moment(a_rich_one()), "osparams", "custom_osparams"),
            [{"dhcp": "yes", "size": "small"}, {"size": "small"}],
        )

    def test_no_port_is_no_value(self) -> None:
        state = a_cluster(instances=["web1"])
        self.assertEqual(cells(a_moment(state), "network_port"), [[3, None]])


LIVE = ("status", "oper_state", "oper_ram", "oper_vcpus")


class LiveTests(SynchronousTestCase):
    def state(self, **node: Any) -> ClusterState:
        return a_cluster(nodes=[a_node("node1", **node), "node2"], instances=["web1"])

    def test_a_running_guest(self) -> None:
        moment = a_moment(self.state(), {"node1": some_facts("web1")})
        self.assertEqual(shown(moment, *LIVE), ["running", True, 256, 2])

    def test_no_guest(self) -> None:
        self.assertEqual(
            cells(a_moment(self.state()), *LIVE),
            [[0, "ERROR_down"], [0, False], [3, None], [3, None]],
        )

    def test_a_guest_on_another_node(self) -> None:
        moment = a_moment(self.state(), {"node1": some_facts(), "node2": some_facts("web1")})
        self.assertEqual(shown(moment, "status", "oper_state"), ["ERROR_wrongnode", False])

    def test_a_node_without_an_answer(self) -> None:
        self.assertEqual(
            cells(a_moment(self.state(), {}), *LIVE), [[0, "ERROR_nodedown"], *[[2, None]] * 3]
        )

    def test_an_offline_node(self) -> None:
        self.assertEqual(
            cells(a_moment(self.state(offline=True)), *LIVE),
            [[0, "ERROR_nodeoffline"], *[[4, None]] * 3],
        )

    def test_a_console_is_shown_to_who_asked_for_it(self) -> None:
        facts = {"node1": some_facts("web1")}
        console = {"kind": "msg", "message": "none"}
        known = {uuid_of("instance", "web1"): console}
        self.assertEqual(cells(a_moment(self.state(), facts), "console"), [[2, None]])
        moment = a_moment(self.state(), facts, consoles=known)
        self.assertEqual(cells(moment, "console"), [[0, console]])
        self.assertEqual(
            cells(a_moment(self.state()), "console"), [[FieldStatus.UNAVAILABLE, None]]
        )


class RowsTests(SynchronousTestCase):
    def test_all_come_in_natural_order(self) -> None:
        moment = a_moment(a_cluster(instances=["web10", "Web1", "web2"]))
        self.assertEqual(INSTANCES.plain(["name"], rows(moment)), [["Web1"], ["web2"], ["web10"]])

    def test_some_come_in_the_order_asked_for(self) -> None:
        moment = a_moment(a_cluster(instances=["a", "b", "c"]))
        found = rows(moment, ["c", uuid_of("instance", "a")])
        self.assertEqual(INSTANCES.plain(["name"], found), [["c"], ["a"]])

    def test_an_unknown_name_is_refused(self) -> None:
        moment = a_moment(a_cluster(instances=["a"]))
        self.assertRaisesRegex(Refused, "instance b does not exist", rows, moment, ["a", "b"])

    def test_what_an_administrator_wants(self) -> None:
        state = a_cluster(instances=[an_instance(admin_state=AdminState.OFFLINE)])
        self.assertEqual(
            shown(a_moment(state), "admin_state", "admin_up", "status"),
            ["offline", False, "ADMIN_offline"],
        )
