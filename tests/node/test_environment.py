# SPDX-License-Identifier: BSD-2-Clause
"""What scripts of OS definitions are told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.disk import Template
from ganeti.model.guest import GuestNetwork, GuestNic
from ganeti.node.environment import (
    build_disk_environment,
    build_guest_environment,
    build_os_environment,
)
from ganeti.rpc.node import OSDefinitionReport
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest, uuid_of

MINI = OSDefinitionReport(
    name="mini",
    path="/os/mini",
    valid=True,
    diagnosis="",
    variants=("small", "large"),
    parameters=(),
    api_versions=(15, 20, 25),
)


class EnvironmentTests(SynchronousTestCase):
    def test_a_guest_without_disks_and_cards(self) -> None:
        guest = a_guest("web1", os="mini+large", osparams={"dns-server": "192.0.2.1"})
        expected = {
            "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
            "OS_API_VERSION": "20",
            "OS_NAME": "mini",
            "OS_VARIANT": "large",
            "DEBUG_LEVEL": "1",
            "OSP_DNS_SERVER": "192.0.2.1",
            "INSTANCE_OS": "mini+large",
            "INSTANCE_NAME": "web1",
            "INSTANCE_UUID": guest.uuid,
            "INSTANCE_CTIME": "1700000000.0",
            "INSTANCE_MTIME": "1700000000.0",
            "INSTANCE_PRIMARY_NODE": guest.primary,
            "INSTANCE_SECONDARY_NODES": "",
            "HYPERVISOR": "fake",
            "DISK_COUNT": "0",
            "NIC_COUNT": "0",
            "INSTANCE_BE_maxmem": "128",
            "INSTANCE_BE_minmem": "128",
            "INSTANCE_BE_vcpus": "1",
        }
        self.assertEqual(build_guest_environment(MINI, guest, [], debug=1), expected)

    def test_the_first_variant_stands_in_for_none_and_old_definitions_have_none(self) -> None:
        self.assertEqual(build_os_environment(MINI, "mini", {})["OS_VARIANT"], "small")
        old = replace(MINI, api_versions=(10,))
        self.assertEqual(build_os_environment(old, "mini+x", {})["OS_VARIANT"], "")

    def test_disks(self) -> None:
        disks = [replace(a_disk("a", size=512), name="root"), a_disk("b", Template.PLAIN)]
        guest = a_guest(disks=disks, hvparams={"disk_type": "paravirtual"})
        found = build_guest_environment(MINI, guest, ["/f/a", "/dev/vg0/b"])
        expected = {
            "DISK_COUNT": "2",
            "DISK_0_ACCESS": "rw",
            "DISK_0_UUID": uuid_of("disk", "a"),
            "DISK_0_NAME": "root",
            "DISK_0_SIZE": "512",
            "DISK_0_PATH": "/f/a",
            "DISK_0_FRONTEND_TYPE": "paravirtual",
            "DISK_0_BACKEND_TYPE": "file:loop",
            "DISK_1_ACCESS": "rw",
            "DISK_1_UUID": uuid_of("disk", "b"),
            "DISK_1_SIZE": "1024",
            "DISK_1_PATH": "/dev/vg0/b",
            "DISK_1_FRONTEND_TYPE": "paravirtual",
            "DISK_1_BACKEND_TYPE": "block",
        }
        self.assertEqual({k: v for k, v in found.items() if k.startswith("DISK_")}, expected)

    def test_network_cards(self) -> None:
        network = GuestNetwork(name="net1", uuid="n1", tags=("a", "b"), gateway="192.0.2.1")
        nics = (
            GuestNic(uuid="u0", mac="aa:00:10:00:00:01", mode="bridged", link="br0"),
            GuestNic(
                uuid="u1",
                mac="aa:00:10:00:00:02",
                mode="routed",
                link="",
                ip="pool",
                name="x",
                network=network,
            ),
        )
        found = build_guest_environment(MINI, a_guest(nics=nics), [])
        expected = {
            "NIC_COUNT": "2",
            "NIC_0_MAC": "aa:00:10:00:00:01",
            "NIC_0_UUID": "u0",
            "NIC_0_MODE": "bridged",
            "NIC_0_LINK": "br0",
            "NIC_0_BRIDGE": "br0",
            "NIC_1_MAC": "aa:00:10:00:00:02",
            "NIC_1_UUID": "u1",
            "NIC_1_MODE": "routed",
            "NIC_1_NAME": "x",
            "NIC_1_IP": "pool",
            "NIC_1_NETWORK_NAME": "net1",
            "NIC_1_NETWORK_UUID": "n1",
            "NIC_1_NETWORK_TAGS": "a b",
            "NIC_1_NETWORK_GATEWAY": "192.0.2.1",
        }
        self.assertEqual({k: v for k, v in found.items() if k.startswith("NIC_")}, expected)

    def test_an_exported_disk(self) -> None:
        expected = {"EXPORT_INDEX": "1", "EXPORT_DISK_PATH": "/b", "EXPORT_DEVICE": "/b"}
        self.assertEqual(build_disk_environment("EXPORT", 1, "/b"), expected)
