# SPDX-License-Identifier: BSD-2-Clause
"""What a node has to say to parameters of KVM guests."""

from __future__ import annotations

import dataclasses

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.interfaces import NO_DEVICES, GuestDevices
from ganeti.hypervisor.kvm.programs import QemuProgram
from ganeti.hypervisor.kvm.requirements import find_disk_problem, problems
from ganeti.model.guest import CheckScope, GuestNetwork, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PROGRAM = QemuProgram(
    "/qemu",
    "7.2.0",
    {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2", "pc-q35-7.2": "pc-q35-7.2"},
    cpus=frozenset({"host", "qemu64"}),
)


def a_card(link: str = "br0", mode: str = "bridged") -> GuestNic:
    return GuestNic(uuid="u", mac="aa:00:10:00:00:01", mode=mode, link=link)


class CheckTests(SynchronousTestCase):
    def found(self, kvm: Kvm, equipment: GuestDevices = NO_DEVICES) -> dict[str, str]:
        disk = MemoryDisk()
        disk.put("/vmlinuz", b"", 0o644, 0)
        disk.add_folder("/sys/class/net/br0/bridge", 0o755)
        found = problems(kvm, equipment, MemoryFiles(disk), PROGRAM, "/keys")
        return {each.path: each.message for each in found}

    def test_files_that_are_there_are_no_problem(self) -> None:
        self.assertEqual(self.found(Kvm(kernel_path="/vmlinuz")), {})
        self.assertEqual(self.found(Kvm(kernel_path="", cdrom_image_path="http://x/y")), {})

    def test_rules_of_cards_need_a_tap_device(self) -> None:
        card = replace(a_card(), rules=TrafficRules(firewall="deny"))
        found = self.found(Kvm(kernel_path="", kvm_net="user"), GuestDevices((card,)))
        self.assertIn("need kvm_net=host", found["nics/0"])

    def test_dhcp_servers_of_cards_need_a_tap_device_and_their_program(self) -> None:
        office = GuestNetwork(name="office", uuid="u", tags=("dhcp",), subnet="192.0.2.0/24")
        equipment = GuestDevices((replace(a_card(), ip="192.0.2.7", network=office),))
        for kvm, remedy in (
            (Kvm(kernel_path="", kvm_net="user"), "need kvm_net=host"),
            (Kvm(kernel_path=""), "install the package nftables"),
        ):
            self.assertIn(remedy, self.found(kvm, equipment)["nics/0"])

    def test_every_problem_is_listed_with_its_parameter(self) -> None:
        kvm = Kvm(
            kernel_path="/missing",
            cdrom_image_path="/cd",
            use_chroot=True,
            disk_type="mtd",
            disk_aio="native",
            kvm_extra="'",
        )
        found = self.found(kvm)
        self.assertEqual(found["kernel_path"], "/missing does not exist on this node")
        named = ["cdrom_image_path", "disk_aio", "disk_type", "kernel_path",
                 "kvm_extra", "use_chroot"]  # fmt: skip
        self.assertEqual(sorted(found), named)

    def test_spice_needs_an_address_and_the_certificate_of_the_cluster(self) -> None:
        self.assertEqual(self.found(Kvm(kernel_path="", spice_bind="::1")), {})
        found = self.found(Kvm(kernel_path="", spice_bind="eth9", spice_use_tls=True))
        self.assertIn("eth9 is neither an address nor a network device", found["spice_bind"])
        self.assertIn("/keys/spice-ca.pem does not exist", found["spice_use_tls"])

    def test_a_qemu_without_spice_is_named(self) -> None:
        lacking = dataclasses.replace(PROGRAM, spice=False)
        kvm = Kvm(kernel_path="", spice_bind="::1")
        [found] = problems(kvm, NO_DEVICES, MemoryFiles(MemoryDisk()), lacking, "/keys")
        self.assertIn("QEMU 7.2.0 (/qemu) has no SPICE", found.message)
        self.assertEqual(found.path, "spice_bind")

    def test_a_guest_of_a_newer_qemu_is_not_taken(self) -> None:
        for version, wrong in (("7.2.22", []), ("6.0", []), ("", []), ("7.10.1", ["kvm_path"])):
            found = self.found(Kvm(kernel_path=""), GuestDevices(minimum_version=version))
            self.assertEqual(list(found), wrong, version)

    def test_a_machine_type_and_a_cpu_model_must_be_offered_by_qemu(self) -> None:
        kvm = Kvm(kernel_path="", machine_version="pc-i440fx-10.0", cpu_type="EPYC-Next,+avx")
        found = self.found(kvm)
        self.assertIn("has no machine type pc-i440fx-10.0; /qemu -machine help lists",
                      found["machine_version"])  # fmt: skip
        self.assertIn("has no CPU model EPYC-Next; /qemu -cpu help lists", found["cpu_type"])
        offered = Kvm(kernel_path="", machine_version="q35,usb=off", cpu_type="host,-vmx")
        self.assertEqual(self.found(offered), {})

    def test_a_bridge_must_be_there_unless_qemu_reaches_out_by_itself(self) -> None:
        cards = GuestDevices((a_card(), a_card(link="br7"), a_card(mode="routed", link="")))
        found = self.found(Kvm(kernel_path=""), cards)
        self.assertEqual(list(found), ["nics/1"])
        self.assertIn("this node has no bridge br7: create it", found["nics/1"])
        self.assertEqual(self.found(Kvm(kernel_path="", kvm_net="user"), cards), {})

    def test_a_change_of_cards_alone_is_not_refused_for_what_was_wrong_before(self) -> None:
        cards = GuestDevices((a_card(link="br7"),), 1, CheckScope.EQUIPMENT)
        self.assertEqual(list(self.found(Kvm(kernel_path="/missing"), cards)), ["nics/0"])

    def test_uefi_needs_its_package(self) -> None:
        found = self.found(Kvm(kernel_path="", kvm_firmware="uefi"))
        self.assertEqual(list(found), ["kvm_firmware"])
        self.assertIn("no UEFI firmware for the machine type pc-i440fx-7.2", found["kvm_firmware"])

    def test_kvm_needs_its_device(self) -> None:
        found = self.found(Kvm(kernel_path="", kvm_accel="kvm"))
        self.assertEqual(found, {"kvm_accel": "/dev/kvm does not exist on this node"})

    def test_a_guest_that_runs_elsewhere_is_not_refused_for_what_it_runs_without(self) -> None:
        kvm = Kvm(kernel_path="", use_chroot=True, cdrom_image_path="/missing.iso")
        self.assertEqual(
            list(self.found(kvm, GuestDevices(scope=CheckScope.RUNNING))), ["cdrom_image_path"]
        )

    def test_disks_must_find_a_place_in_the_machine(self) -> None:
        for machine, room in (("pc", 4), ("q35", 6)):
            kvm = Kvm(kernel_path="", disk_type="ide", machine_version=machine)
            self.assertEqual(self.found(kvm, GuestDevices(disks=room)), {})
            self.assertIn(
                f"supports {room} disks", self.found(kvm, GuestDevices(disks=room + 1))["disk_type"]
            )

    def test_ide_has_four_places(self) -> None:
        ide = Kvm(disk_type="ide", cdrom_image_path="/cd")
        self.assertEqual([bool(find_disk_problem(ide, count)) for count in (3, 4)], [False, True])
        self.assertEqual(find_disk_problem(Kvm(), 16), "")
