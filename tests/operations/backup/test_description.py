# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.operations.backup.description import (
    DumpedDisk,
    ExportDescription,
    described,
    read,
    section,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import SINCE, a_cluster, a_disk, a_nic, an_instance, uuid_of

CLASSIC = """
[export]
version = 0
timestamp = 1700000000
source = 6ba7b810-9dad-11d1-80b4-00c04fd430c8
os = debootstrap+default
compression = none

[instance]
name = web1.example.com
maxmem = 1024
minmem = 512
memory = 1024
vcpus = 2
disk_template = drbd
nic0_mac = aa:00:00:12:34:56
nic0_ip = None
nic0_network = None
nic0_mode = bridged
nic0_link = br0
nic_count = 1
disk0_ivname = disk/0
disk0_dump = 4c8f
disk0_size = 2048
disk_count = 1
hypervisor = kvm
tags = web production

[hypervisor]
acpi = True
kernel_path = None

[backend]
auto_balance = False

[os]

[os_private]
Password = secret
"""


class DescriptionTests(SynchronousTestCase):
    def test_a_description_made_elsewhere_is_read(self) -> None:
        nic = {
            "mac": "aa:00:00:12:34:56",
            "ip": None,
            "network": None,
            "mode": "bridged",
            "link": "br0",
        }
        expected = ExportDescription(
            name="web1.example.com",
            os="debootstrap+default",
            disk_template="drbd",
            hypervisor="kvm",
            tags=("web", "production"),
            nics=(nic,),
            disks=(DumpedDisk(size=2048, dump="4c8f"),),
            hvparams={"acpi": "True", "kernel_path": None},
            beparams={
                "auto_balance": "False",
                "maxmem": "1024",
                "minmem": "512",
                "vcpus": "2",
            },
            osparams={},
            osparams_private={"password": "secret"},
        )
        self.assertEqual(read(CLASSIC), expected)

    def test_an_old_export_keeps_its_memory_and_its_bridge(self) -> None:
        old = CLASSIC.replace("maxmem = 1024\nminmem = 512\n", "").replace("_link", "_bridge")
        in_section = old.replace("memory = 1024\nvcpus = 2\n", "").replace(
            "[backend]\n", "[backend]\nmemory = 1024\nvcpus = 2\n"
        )
        for text in (old, in_section):
            found = read(text)
            sizes = {"minmem": "1024", "maxmem": "1024", "vcpus": "2"}
            self.assertEqual(found.beparams, {**sizes, "auto_balance": "False"})
            self.assertEqual(found.nics[0]["link"], "br0")

    def test_private_parameters_of_the_cluster_are_not_written(self) -> None:
        private = {"noop": {"password": "secret"}}
        state = a_cluster(instances=["web1"], osparams_private_cluster=private)
        self.assertNotIn("secret", described(state, state.instance("web1"), (), SINCE))

    def test_what_is_written_is_read_back(self) -> None:
        built = an_instance(
            "web1",
            disks=[replace(a_disk("a", size=10), name="root"), a_disk("b", size=20)],
            nics=(a_nic("n", ip="192.0.2.9"),),
            tags=("a", "b"),
            osparams={"greeting": "hello\nworld"},
            osparams_private={"password": "x = y # z"},
        )
        state = a_cluster(instances=[built])
        dumps = [(disk, disk.uuid) for disk in built.disks]
        found = read(described(state, built.instance, dumps, SINCE))
        self.assertEqual(found.disks[0], DumpedDisk(10, uuid_of("disk", "a"), "root"))
        self.assertEqual((found.name, found.os, found.tags), ("web1", "noop", ("a", "b")))
        self.assertEqual(found.nics[0]["ip"], "192.0.2.9")
        self.assertEqual(found.osparams, {"greeting": "hello\nworld"})
        self.assertEqual(found.osparams_private, {"password": "x = y # z"})
        self.assertEqual((found.hypervisor, found.disk_template), ("fake", "file"))
        self.assertEqual(found.beparams["always_failover"], "False")

    def test_what_is_wrong_is_told(self) -> None:
        for text, why in {
            "": "'export' is missing",
            "nonsense": "no section headers",
            CLASSIC.replace("version = 0", "version = 1"): "unsupported version 1",
            CLASSIC.replace("disk0_size = 2048", "disk0_size = x"): "invalid literal",
            CLASSIC.replace("disk0_dump", "dump"): "'disk0_dump' is missing",
            CLASSIC.replace("compression = none", "compression = gzip"): "compressed by gzip",
            CLASSIC.replace("disk_count = 1", "disk_count = 99999"): "disk_count is 99999",
        }.items():
            with self.assertRaisesRegex(Invalid, why):
                read(text)

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"])))
    def test_a_value_comes_back_as_it_was(self, value: str) -> None:
        text = CLASSIC.replace("[os]\n", section("os", {"key": value}))
        expected = None if value.lower() == "none" else value
        self.assertEqual(read(text).osparams, {"key": expected})

    @given(st.text())
    def test_nonsense_is_invalid_and_nothing_else(self, text: str) -> None:
        self.assertRaises(Invalid, read, text)
