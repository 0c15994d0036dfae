# SPDX-License-Identifier: BSD-2-Clause
"""Which parameters of KVM guests contradict each other."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.parameters.kvm import Kvm


class ConflictTests(SynchronousTestCase):
    def conflicts(self, **hvparams: Any) -> dict[str, str]:
        return {each.path: each.message for each in Kvm(**hvparams).conflicts()}

    def test_uefi_boots_disks_and_kernels_of_all_machine_types(self) -> None:
        for machine in ("", "q35"):
            for kernel in ("", "/vmlinuz"):
                found = self.conflicts(
                    kvm_firmware="uefi", machine_version=machine, kernel_path=kernel
                )
                self.assertEqual(found, {})

    def test_uefi_knows_no_floppy_disk_and_needs_acpi(self) -> None:
        over = {"boot_order": "floppy", "floppy_image_path": "/floppy.img", "acpi": False}
        self.assertEqual(self.conflicts(**over), {})
        self.assertEqual(
            self.conflicts(kvm_firmware="uefi", **over),
            {
                "boot_order": "floppy cannot be booted with kvm_firmware=uefi",
                "acpi": "is required with kvm_firmware=uefi",
            },
        )

    def test_ports_are_forwarded_by_user_networking_only(self) -> None:
        self.assertEqual(self.conflicts(kvm_net="user", kvm_forward_ports="22 8080"), {})
        found = self.conflicts(kvm_forward_ports="22")
        self.assertIn("requires kvm_net=user", found["kvm_forward_ports"])
        for wrong in ("0", "22 65536"):
            found = self.conflicts(kvm_net="user", kvm_forward_ports=wrong)
            self.assertIn("from 1 to 65535", found["kvm_forward_ports"])

    def test_secure_boot_needs_a_machine_that_protects_its_variables(self) -> None:
        found = self.conflicts(kvm_firmware="uefi-secure", machine_version="pc", kernel_path="/k")
        self.assertEqual(sorted(found), ["kernel_path", "machine_version"])
        self.assertEqual(
            self.conflicts(
                kvm_firmware="uefi-secure", machine_version="pc-q35-7.2", kernel_path=""
            ),
            {},
        )

    def test_a_tpm_needs_acpi(self) -> None:
        self.assertEqual(
            self.conflicts(kvm_tpm="2.0", acpi=False), {"acpi": "is required with kvm_tpm"}
        )

    def test_spice_has_no_settings_without_a_server_and_excludes_vnc(self) -> None:
        found = self.conflicts(spice_image_compression="glz", spice_use_tls=True)
        needs = dict.fromkeys(("spice_image_compression", "spice_use_tls"), "requires spice_bind")
        self.assertEqual(found, needs)
        found = self.conflicts(spice_bind="::", vnc_bind_address="::")
        self.assertIn("together with vnc_bind_address", found["spice_bind"])
        found = self.conflicts(spice_bind="::1", spice_ip_version=4)
        self.assertIn("no address of IPv4", found["spice_bind"])
        self.assertEqual(self.conflicts(spice_bind="br0", spice_ip_version=4), {})

    def test_sound_cards_have_names(self) -> None:
        self.assertEqual(self.conflicts(soundhw="hda, ac97"), {})
        self.assertIn("ac97, es1370, hda, sb16", self.conflicts(soundhw="all")["soundhw"])
