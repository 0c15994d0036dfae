# SPDX-License-Identifier: BSD-2-Clause
"""Hooks get an instance as variables, in the names of the hooks interface."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import AdminState
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.instance_hooks import environment, instance_hooks
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)

LAN = a_network("lan", tags=("x", "y"), gateway=None)


def a_state(*disks: Disk, **over: Any) -> ClusterState:
    web1 = an_instance("web1", node="node2", disks=disks, **over)
    return a_cluster(nodes=["node1", "node2", "node3"], networks=[LAN], instances=[web1])


def variables(state: ClusterState) -> dict[str, str]:
    web1 = state.instance("web1")
    return environment(state, web1, state.get_disks(web1))


def part(state: ClusterState, prefix: str) -> dict[str, str]:
    """The variables that begin with a prefix, without it."""
    found = variables(state)
    return {name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)}


class InstanceTests(SynchronousTestCase):
    def test_they_have_the_instance_with_its_defaults(self) -> None:
        state = a_state(
            tags=("b", "a"),
            admin_state=AdminState.OFFLINE,
            beparams={"maxmem": 512, "minmem": 256, "vcpus": 3},
        )
        expected = {
            "OP_TARGET": "web1",
            "INSTANCE_NAME": "web1",
            "INSTANCE_PRIMARY": "node2",
            "INSTANCE_SECONDARIES": "",
            "INSTANCE_OS_TYPE": "noop",
            "INSTANCE_STATUS": "offline",
            "INSTANCE_MINMEM": "256",
            "INSTANCE_MAXMEM": "512",
            "INSTANCE_MEMORY": "512",
            "INSTANCE_VCPUS": "3",
            "INSTANCE_DISK_TEMPLATE": "diskless",
            "INSTANCE_HYPERVISOR": "fake",
            "INSTANCE_TAGS": "b a",
            "INSTANCE_NIC_COUNT": "1",
            "INSTANCE_DISK_COUNT": "0",
            "INSTANCE_BE_vcpus": "3",
            "INSTANCE_BE_auto_balance": "True",
        }
        found = variables(state)
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_parameters_of_the_os_may_be_secret_and_are_not_among_them(self) -> None:
        state = a_state(osparams={"a": "public"}, osparams_private={"b": "secret"})
        text = str(variables(state))
        self.assertNotIn("public", text)
        self.assertNotIn("secret", text)

    def test_hypervisor_parameters_are_those_of_the_guest(self) -> None:
        state = a_state(hypervisor="kvm", hvparams={"keymap": "de"})
        self.assertEqual(variables(state)["INSTANCE_HV_keymap"], "de")
        self.assertIn("INSTANCE_HV_acpi", variables(state))


class NicTests(SynchronousTestCase):
    def nic(self, **over: Any) -> dict[str, str]:
        name = over.pop("named", None)
        card = replace(a_nic("card", **over), name=name)
        found = part(a_state(nics=(a_nic("first"), card)), "INSTANCE_NIC1_")
        self.assertEqual((found.pop("UUID"), found.pop("MAC")), (card.uuid, card.mac))
        return found

    def test_a_bridged_card_has_the_bridge_as_well(self) -> None:
        expected = {"IP": "", "MODE": "bridged", "LINK": "br0", "VLAN": "", "BRIDGE": "br0"}
        self.assertEqual(self.nic(), expected)
        self.assertIn("BRIDGE", self.nic(nicparams={"mode": "openvswitch"}))

    def test_a_routed_card_has_none(self) -> None:
        found = self.nic(ip="192.0.2.7", nicparams={"mode": "routed", "link": "t"}, named="eth")
        expected = {"IP": "192.0.2.7", "MODE": "routed", "LINK": "t", "VLAN": "", "NAME": "eth"}
        self.assertEqual(found, expected)

    def test_a_card_in_a_network_has_what_is_set_of_the_network(self) -> None:
        found = self.nic(network=LAN.uuid, nicparams={"mode": "routed"})
        network = {name: v for name, v in found.items() if name.startswith("NETWORK")}
        expected = {
            "NETWORK_NAME": "lan",
            "NETWORK_UUID": LAN.uuid,
            "NETWORK_TAGS": "x y",
            "NETWORK_SUBNET": "203.0.113.0/29",
        }
        self.assertEqual(network, expected)


class DiskTests(SynchronousTestCase):
    def disk(self, disk: Disk) -> dict[str, str]:
        found = part(a_state(disk), "INSTANCE_DISK0_")
        self.assertEqual(found.pop("UUID"), disk.uuid)
        self.assertEqual((found.pop("SIZE"), found.pop("MODE")), ("1024", "rw"))
        self.assertEqual(found.pop("DEV_TYPE"), disk.dev_type.value)
        return found

    def test_the_location_depends_on_the_template(self) -> None:
        for kind, expected in (
            (Template.PLAIN, {"VG": "vg0", "ID": f"{uuid_of('disk', 'd')}.disk0"}),
            (Template.FILE, {"DRIVER": "loop", "ID": "/srv/ganeti/file-storage/d"}),
            (Template.BLOCKDEV, {"DRIVER": "manual", "ID": "/dev/disk/by-id/d"}),
            (Template.RBD, {"DRIVER": "rbd", "ID": "d"}),
            (Template.EXT, {"PROVIDER": "provider", "ID": "d"}),
        ):
            self.assertEqual(self.disk(a_disk("d", kind, nodes=("node2",))), expected)

    def test_a_name_is_there_if_the_disk_has_one(self) -> None:
        disk = replace(a_disk("d", Template.RBD, nodes=("node2",)), name="root")
        self.assertEqual(self.disk(disk)["NAME"], "root")

    def test_a_mirrored_disk_has_both_ends_whichever_is_the_primary(self) -> None:
        for nodes in (("node2", "node3"), ("node3", "node2")):
            disk = a_disk("disk5", Template.DRBD, nodes=nodes)
            one, other, port, *_, secret = disk.logical_id
            disk = replace(disk, logical_id=(one, other, port, 7, 8, secret))
            found = self.disk(disk)
            minors = dict(zip(nodes, ("7", "8"), strict=True))
            data, meta = (child.logical_id for child in disk.children)
            expected = {
                "PNODE": "node2",
                "SNODE": "node3",
                "PORT": "11004",
                "PMINOR": minors["node2"],
                "SMINOR": minors["node3"],
                "DATA_VG": "vg0",
                "DATA_ID": data[1],
                "META_VG": "vg0",
                "META_ID": meta[1],
            }
            self.assertEqual(found, expected)
            self.assertNotIn(secret, str(found))


class HookTests(SynchronousTestCase):
    def test_they_run_on_the_master_and_the_nodes_of_the_instance(self) -> None:
        state = a_state(a_disk("disk1", Template.DRBD, nodes=("node2", "node3")))
        subject = standing(state.instance("web1"), state)
        call = instance_hooks("instance-stop", subject, state, {"TIMEOUT": "120"})
        nodes = [a_node(name).uuid for name in ("node1", "node2", "node3")]
        self.assertEqual((call.before, call.after), (nodes, nodes))
        self.assertEqual((call.object_type, call.environment["TIMEOUT"]), ("INSTANCE", "120"))

    def test_an_operation_may_choose_other_nodes(self) -> None:
        state = a_state()
        subject = standing(state.instance("web1"), state)
        call = instance_hooks("instance-add", subject, state, {}, before=["a"], after=[])
        self.assertEqual((call.before, call.after), (["a"], []))

    def test_disks_are_those_of_the_newest_record(self) -> None:
        state = a_state(a_disk("d", Template.PLAIN, nodes=("node2",)))
        web1 = state.instance("web1")
        subject = standing(web1, state)
        [disk] = subject.disks
        grown = state.put(replace(disk, size=2048))
        for now, size in ((state, "1024"), (grown, "2048")):
            call = instance_hooks("disk-grow", subject, now, {})
            self.assertEqual(call.environment["INSTANCE_DISK0_SIZE"], size)

    def test_the_newest_record_counts_and_that_of_the_plan_if_there_is_none(self) -> None:
        state = a_state(a_disk("d", Template.PLAIN, nodes=("node2",)))
        web1 = state.instance("web1")
        subject = standing(web1, state)
        renamed = state.put(replace(web1, name="web2"))
        empty = a_cluster(nodes=["node1", "node2"])
        for now, name in ((renamed, "web2"), (empty, "web1")):
            call = instance_hooks("instance-rename", subject, now, {})
            self.assertEqual(call.environment["INSTANCE_NAME"], name)
            self.assertEqual(call.environment["INSTANCE_DISK_COUNT"], "1")
