# SPDX-License-Identifier: BSD-2-Clause
"""Guests as nodes get them: all parameters are filled in, and disks know both of their ends."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.initial_state import default_hvparams
from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template, get_pool
from ganeti.model.guest import Guest, GuestNetwork, GuestNic
from ganeti.model.mirror import ENDS
from ganeti.model.traffic_rules import TrafficRules
from ganeti.operations.guest_conversion import fill_disk_parameters, make_guest, secondaries
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)

NODE1, NODE2 = uuid_of("node", "node1"), uuid_of("node", "node2")


def guest_of(one: Built, state: ClusterState | None = None, **over: Any) -> Guest:
    found = state or a_cluster(nodes=["node1", "node2"], instances=[one])
    return make_guest(found, one.instance, **over)


class RulesTests(SynchronousTestCase):
    def rules(self, nicparams: dict[str, Any], *tags: str) -> TrafficRules | None:
        network = a_network("lan", tags=tags)
        one = an_instance(nics=(a_nic(network=network.uuid, nicparams=nicparams),))
        state = a_cluster(nodes=["node1", "node2"], instances=[one], networks=[network])
        return guest_of(one, state).nics[0].rules

    def test_a_card_has_the_rules_of_its_parameters(self) -> None:
        self.assertIsNone(self.rules({}))
        found = self.rules({"firewall": "tcp:22", "bandwidth_in": 100})
        self.assertEqual(found, TrafficRules(firewall="tcp:22", bandwidth_in=100))

    def test_a_tag_of_the_network_checks_the_addresses_of_all_its_cards(self) -> None:
        self.assertEqual(self.rules({}, "anti-spoofing"), TrafficRules(anti_spoofing=True))


class ParameterTests(SynchronousTestCase):
    def test_parameters_that_are_not_set_are_those_of_the_cluster(self) -> None:
        one = an_instance(
            hypervisor="kvm",
            hvparams={"boot_order": "cdrom"},
            beparams={"vcpus": 4},
            osparams={"a": "1"},
        )
        kvm = {**default_hvparams()["kvm"], "boot_order": "disk", "acpi": False}
        state = a_cluster(
            instances=[one],
            hvparams={**default_hvparams(), "kvm": kvm},
            osparams={"noop": {"a": "0", "b": "0"}},
        )
        guest = guest_of(one, state)
        self.assertEqual((guest.hvparams["boot_order"], guest.hvparams["acpi"]), ("cdrom", False))
        self.assertEqual((guest.vcpus, guest.memory, guest.minmem), (4, 128, 128))
        self.assertEqual(guest.osparams, {"a": "1", "b": "0"})

    def test_parameters_for_one_start_come_before_all_others(self) -> None:
        one = an_instance(beparams={"vcpus": 4}, osparams={"a": "1"})
        guest = guest_of(one, beparams={"vcpus": 8}, osparams={"a": "2"}, hvparams={"x": "y"})
        self.assertEqual((guest.vcpus, guest.osparams["a"], guest.hvparams["x"]), (8, "2", "y"))
        self.assertEqual(guest_of(one).vcpus, 4)

    def test_a_guest_is_described_as_its_instance(self) -> None:
        one = an_instance(tags=("b", "a"), network_port=11001, os="noop+x")
        guest = guest_of(one)
        instance = one.instance
        self.assertEqual(
            (guest.name, guest.uuid, guest.os, guest.primary, guest.tags, guest.network_port),
            ("web1", instance.uuid, "noop+x", NODE1, ("b", "a"), 11001),
        )


class DiskTests(SynchronousTestCase):
    def test_disks_that_are_not_recorded_yet_may_be_given(self) -> None:
        one = an_instance(disks=[a_disk("old1")])
        new = a_disk("new1", index=3)
        self.assertEqual([disk.uuid for disk in guest_of(one).disks], [uuid_of("disk", "old1")])
        found = guest_of(one, disks=(new,)).disks
        self.assertEqual([(disk.uuid, disk.iv_name) for disk in found], [(new.uuid, "disk/3")])
        self.assertEqual(guest_of(one, disks=()).disks, ())

    def filled(self, disk: Disk, **over: Any) -> Disk:
        one = an_instance(disks=[disk])
        state = a_cluster(nodes=["node1", "node2"], instances=[one], **over)
        return fill_disk_parameters(state, one.instance, one.disks[0])

    def test_parameters_of_a_disk_come_before_those_of_the_group_and_the_cluster(self) -> None:
        disk = a_disk("disk1", Template.PLAIN)
        cluster, group = {"plain": {"stripes": 2}}, a_group(diskparams={"plain": {"stripes": 3}})
        for found, stripes in (
            (self.filled(disk), 1),
            (self.filled(disk, diskparams=cluster), 2),
            (self.filled(disk, diskparams=cluster, groups=[group]), 3),
            (
                self.filled(
                    replace(disk, params={"stripes": 4}), diskparams=cluster, groups=[group]
                ),
                4,
            ),
        ):
            assert found.params is not None
            self.assertEqual(found.params["stripes"], stripes)

    def test_the_usual_thin_pool_is_that_of_new_disks_only(self) -> None:
        usual = {"plain": {"pool": "thin"}}
        thick, thin = (a_disk("disk1", Template.PLAIN, params=p) for p in ({}, {"pool": "old"}))
        mirrored = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        found = self.filled(mirrored, diskparams=usual)
        for disk, pool in (
            (self.filled(thick, diskparams=usual), ""),
            (self.filled(thin, diskparams=usual), "old"),
            *((child, "") for child in found.children),
        ):
            self.assertEqual(get_pool(disk), pool)

    def test_the_volumes_of_a_mirrored_disk_have_stripes_of_their_own(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        params = {"drbd": {"data-stripes": 2, "meta-stripes": 3}, "plain": {"stripes": 5}}
        found = self.filled(disk, diskparams=params)
        stripes = [(child.params or {})["stripes"] for child in found.children]
        self.assertEqual(stripes, [2, 3])

    def test_a_mirrored_disk_has_the_names_and_addresses_of_its_nodes(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        one = an_instance(disks=[disk])
        second = a_node("node2", secondary_ip="198.51.100.2")
        state = a_cluster(nodes=["node1", second], instances=[one])
        found = fill_disk_parameters(state, one.instance, one.disks[0])
        expected = [["node1", "192.0.2.1"], ["node2", "198.51.100.2"]]
        self.assertEqual((found.params or {})[ENDS], expected)
        self.assertNotIn(ENDS, self.filled(a_disk("disk2", Template.PLAIN)).params or {})

    def test_secondary_nodes_are_those_of_the_disks_without_the_primary(self) -> None:
        disks = [a_disk(f"disk{n}", Template.DRBD, nodes=("node2", "node1")) for n in (1, 2)]
        one = an_instance(disks=disks)
        self.assertEqual(secondaries(one.instance, one.disks), (NODE2,))
        self.assertEqual(guest_of(one).secondaries, (NODE2,))
        self.assertEqual(guest_of(an_instance(disks=[a_disk()])).secondaries, ())


class NicTests(SynchronousTestCase):
    def nic(self, **fields: Any) -> GuestNic:
        one = an_instance(nics=(a_nic("nic0", **fields),))
        network = a_network("lan", tags=("t",), gateway6="2001:db8::1", mac_prefix="aa:00:01")
        [nic] = guest_of(one, a_cluster(instances=[one], networks=[network])).nics
        return nic

    def test_a_card_without_parameters_has_those_of_the_cluster(self) -> None:
        plain = a_nic("nic0")
        expected = GuestNic(uuid=plain.uuid, mac=plain.mac, mode="bridged", link="br0")
        self.assertEqual(self.nic(), expected)

    def test_its_own_parameters_come_first(self) -> None:
        own = {"mode": "openvswitch", "link": "switch1", "vlan": ".10"}
        found = self.nic(nicparams=own, ip="192.0.2.9")
        self.assertEqual((found.mode, found.link, found.vlan), tuple(own.values()))
        self.assertEqual(found.ip, "192.0.2.9")

    def test_values_of_a_network_that_are_not_set_are_empty(self) -> None:
        expected = GuestNetwork(
            name="lan",
            uuid=uuid_of("network", "lan"),
            tags=("t",),
            subnet="203.0.113.0/29",
            gateway="203.0.113.1",
            subnet6="",
            gateway6="2001:db8::1",
            mac_prefix="aa:00:01",
        )
        self.assertEqual(self.nic(network=uuid_of("network", "lan")).network, expected)
