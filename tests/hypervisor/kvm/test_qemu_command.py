# SPDX-License-Identifier: BSD-2-Clause
"""How QEMU is called for a guest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.devices import escaped, tap
from ganeti.hypervisor.kvm.firmware import Firmware
from ganeti.hypervisor.kvm.qemu_command import Accelerator, HostSettings, LoadedFirmware, command
from ganeti.hypervisor.kvm.qemu_user import QemuUser
from ganeti.hypervisor.kvm.runtime_paths import places
from ganeti.model.disk import Disk, DiskMode
from ganeti.model.guest import GuestNic
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest

NIC = GuestNic(uuid="0123456789ab-cdef", mac="aa:00:10:00:00:01", mode="bridged", link="br0")

CARD = f"id=nic-0123456789ab,netdev=net-0123456789ab,mac={NIC.mac}"


def named_disk(name: str) -> Disk:
    """A disk whose id in QEMU is readable."""
    return replace(a_disk(name), uuid=name)


def called(
    accelerator: Accelerator = Accelerator.TCG,
    *,
    disks: Sequence[AttachedDisk] = (),
    nics: Sequence[GuestNic] = (),
    how: dict[str, Any] | None = None,
    memory: int = 128,
    firmware: LoadedFirmware | None = None,
    user: QemuUser | None = None,
    version: str = "7.2.22",
    **hvparams: Any,
) -> list[str]:
    guest = a_guest(
        "web1",
        uuid="u1",
        hypervisor="kvm",
        hvparams={"kernel_path": "", **hvparams},
        nics=tuple(nics),
        network_port=11001,
        beparams={"maxmem": memory, "minmem": memory, "vcpus": 1},
    )
    machine = HostSettings(
        binary="/qemu",
        accelerator=accelerator,
        places=places("/run", "web1"),
        firmware=firmware,
        user=user,
        version=version,
    )
    return command(guest, disks, machine, **(how or {}))


def after(argv: Sequence[str], option: str) -> list[str]:
    """Every argument of an option that can be given several times."""
    return [argv[i + 1] for i, each in enumerate(argv) if each == option]


class CommandTests(SynchronousTestCase):
    def test_a_guest_with_everything_as_it_is_by_default(self) -> None:
        argv = called(kernel_path="/boot/vmlinuz", disks=[AttachedDisk(named_disk("a"), "/f/a")])
        expected = (
            "/qemu -name web1 -uuid u1 -smbios type=1,manufacturer=Ganeti,serial=web1"
            " -no-user-config -nodefaults -daemonize -pidfile /run/web1.pid"
            " -machine pc,accel=tcg -cpu max,la57=off -smp 1 -m 131080K"
            " -chardev socket,id=qmp,path=/run/web1.qmp,server=on,wait=off"
            " -mon chardev=qmp,mode=control"
            " -chardev socket,id=serial,path=/run/web1.serial,server=on,wait=off"
            " -serial chardev:serial -display none -vga none -kernel /boot/vmlinuz"
            " -append root=/dev/vda1 ro console=ttyS0,38400"
            " -drive file=/f/a,format=raw,if=none,id=disk-a,aio=threads"
            " -device virtio-blk-pci,id=disk-a,drive=disk-a"
        )
        self.assertEqual(" ".join(argv), expected)
        self.assertIn("root=/dev/vda1 ro console=ttyS0,38400", argv)

    def test_paused_and_awaited_guests_wait(self) -> None:
        self.assertEqual(called(how={"paused": True})[-1:], ["-S"])
        awaited = called(how={"incoming": True})[-4:]
        self.assertEqual(awaited, ["-incoming", "defer", "-D", "/run/web1.log"])

    def test_with_kvm_the_processor_is_the_default_one(self) -> None:
        argv = called(Accelerator.KVM)
        self.assertEqual(after(argv, "-machine"), ["pc,accel=kvm"])
        self.assertNotIn("-cpu", argv)

    def test_in_software_no_guest_has_memory_in_multiples_of_256_kib(self) -> None:
        for memory in (4, 128, 1000):
            [size] = after(called(memory=memory), "-m")
            self.assertGreater(int(size.removesuffix("K")), memory * 1024)
            self.assertTrue(int(size.removesuffix("K")) % 256, size)
        self.assertEqual(after(called(Accelerator.KVM), "-m"), ["128M"])

    def test_processor_memory_and_machine(self) -> None:
        argv = called(
            machine_version="q35", acpi=False, cpu_type="host", cpu_cores=2, cpu_sockets=1,
            cpu_mask="0-3", mem_path="/huge",
        )  # fmt: skip
        self.assertEqual(argv[:4], ["taskset", "--cpu-list", "0-3", "/qemu"])
        self.assertEqual(after(argv, "-machine"), ["q35,accel=tcg,acpi=off"])
        self.assertEqual(after(argv, "-cpu"), ["host"])
        self.assertEqual(after(argv, "-smp"), ["1,sockets=1,cores=2"])
        self.assertEqual(after(argv, "-mem-path"), ["/huge"])

    def test_the_kernel_gets_its_arguments(self) -> None:
        argv = called(
            kernel_path="/k", initrd_path="/i", root_path=None, kernel_args="quiet",
            serial_console=False,
        )  # fmt: skip
        boot = [after(argv, name) for name in ("-kernel", "-initrd", "-append", "-serial")]
        self.assertEqual(boot, [["/k"], ["/i"], ["quiet"], []])

    def test_without_a_kernel_something_else_boots(self) -> None:
        disks = [AttachedDisk(named_disk(name), f"/f/{name}") for name in ("a", "b")]
        card = f"virtio-net-pci,{CARD}"
        first, second = (f"virtio-blk-pci,id=disk-{each},drive=disk-{each}" for each in "ab")
        for order, expected in {
            "disk": [f"{first},bootindex=1", second, "ide-cd,drive=cdrom0", card],
            "cdrom": [first, second, "ide-cd,drive=cdrom0,bootindex=1", card],
            "network": [first, second, "ide-cd,drive=cdrom0", f"{card},bootindex=1"],
        }.items():
            argv = called(disks=disks, nics=[NIC], boot_order=order, cdrom_image_path="/cd.iso")
            devices = [each.replace(",bus=ide.1,unit=1", "") for each in after(argv, "-device")]
            self.assertEqual(devices, expected, order)

    def test_a_floppy_boots(self) -> None:
        argv = called(boot_order="floppy", floppy_image_path="/floppy.img")
        self.assertEqual(after(argv, "-boot"), ["a"])
        drive = "file=/floppy.img,format=raw,if=floppy,readonly=on"
        self.assertEqual(after(argv, "-drive"), [drive])

    def test_disks_are_cached_and_read_as_they_should_be(self) -> None:
        disk = AttachedDisk(replace(named_disk("a"), mode=DiskMode.READ_ONLY), "/f,a")
        argv = called(disks=[disk], disk_cache="none", disk_aio="native", disk_discard="unmap")
        how = "cache=none,aio=native,discard=unmap,readonly=on"
        drive = f"file=/f,,a,format=raw,if=none,id=disk-a,{how}"
        self.assertEqual(after(argv, "-drive"), [drive])

    def test_the_format_of_a_disk_is_given_and_never_probed(self) -> None:
        image = replace(named_disk("a"), params={"format": "qcow2"})
        [drive] = after(called(disks=[AttachedDisk(image, "/f/a")]), "-drive")
        self.assertEqual(drive, "file=/f/a,format=qcow2,if=none,id=disk-a,aio=threads")

    def test_ide_and_scsi_disks_have_their_places(self) -> None:
        disks = [AttachedDisk(named_disk(name), f"/f/{name}") for name in ("a", "b", "c")]
        ide = called(disks=disks, disk_type="ide", kernel_path="/k")
        slots = ["bus=ide.0,unit=0", "bus=ide.0,unit=1", "bus=ide.1,unit=0"]
        expected = [
            f"ide-hd,id=disk-{n},drive=disk-{n},{s}" for n, s in zip("abc", slots, strict=True)
        ]
        self.assertEqual(after(ide, "-device"), expected)
        scsi = called(disks=disks[:1], disk_type="scsi-hd", scsi_controller_type="virtio-scsi-pci")
        disk = "scsi-hd,id=disk-a,drive=disk-a"
        expected = ["virtio-scsi-pci,id=scsi", f"{disk},bus=scsi.0,bootindex=1"]
        self.assertEqual(after(scsi, "-device"), expected)

    def test_network_cards_of_the_host_and_of_qemu(self) -> None:
        host = called(nics=[NIC], vhost_net=True, virtio_net_queues=2)
        backend = (
            f"tap,id=net-0123456789ab,ifname={tap(NIC)},script=no,downscript=no,vhost=on,queues=2"
        )
        self.assertEqual(after(host, "-netdev"), [backend])
        device = f"virtio-net-pci,{CARD},mq=on,vectors=6"
        self.assertEqual(after(host, "-device"), [device])
        user = called(nics=[NIC], kvm_net="user", nic_type="e1000")
        self.assertEqual(after(user, "-netdev"), ["user,id=net-0123456789ab"])
        self.assertEqual(after(user, "-device"), [f"e1000,{CARD}"])

    def test_ports_are_forwarded_to_the_first_card_from_free_ones(self) -> None:
        other = replace(NIC, uuid="ffffffffffff")
        argv = called(nics=[NIC, other], kvm_net="user", kvm_forward_ports="22 80")
        forwards = "hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:80"
        expected = [f"user,id=net-0123456789ab,{forwards}", "user,id=net-ffffffffffff"]
        self.assertEqual(after(argv, "-netdev"), expected)

    def test_devices_with_an_address_get_it(self) -> None:
        disk = AttachedDisk(named_disk("a"), "/f/a")
        slots = {"disk-a": "0x5", "nic-0123456789ab": "0x4", "scsi": "0x7", "ports": "0x6"}
        argv = called(
            disks=[disk], nics=[NIC], kvm_net="user", cdrom_disk_type="scsi-cd",
            use_guest_agent=True, kernel_path="/k", how={"slots": slots},
        )  # fmt: skip
        self.assertEqual(
            after(argv, "-device")[:-1],
            [
                "lsi53c895a,id=scsi,addr=0x7",
                "virtio-blk-pci,id=disk-a,drive=disk-a,addr=0x5",
                f"virtio-net-pci,{CARD},addr=0x4",
                "virtio-serial-pci,id=ports,addr=0x6",
            ],
        )

    def test_uefi_firmware_has_its_code_and_the_variables_of_the_guest(self) -> None:
        plain = LoadedFirmware(Firmware("/CODE", "/VARS"), "/lib/u,1")
        argv = called(machine_version="q35", firmware=plain)
        code = "if=pflash,unit=0,format=raw,readonly=on,file=/CODE"
        variables = "if=pflash,unit=1,format=raw,file=/lib/u,,1"
        self.assertEqual(after(argv, "-drive"), [code, variables])
        self.assertEqual(after(argv, "-machine"), ["q35,accel=tcg"])
        secure = LoadedFirmware(Firmware("/CODE", "/VARS", secure=True), "/lib/u1")
        argv = called(machine_version="q35", firmware=secure)
        self.assertEqual(after(argv, "-machine"), ["q35,accel=tcg,smm=on"])
        self.assertEqual(after(argv, "-global"), ["driver=cfi.pflash01,property=secure,value=on"])

    def test_a_user_that_can_open_nothing_later_gets_all_for_reading_and_writing(self) -> None:
        firmware = LoadedFirmware(Firmware("/CODE", "/VARS"), "/VARIABLES")
        disks = [AttachedDisk(named_disk(name), f"/{name}") for name in ("a", "b")]
        disks[1] = AttachedDisk(replace(disks[1].disk, mode=DiskMode.READ_ONLY), "/b")
        argv = called(disks=disks, firmware=firmware, user=QemuUser(990, 991))
        self.assertEqual(after(argv, "-runas"), ["990:991"])
        self.assertEqual(after(argv, "-sandbox"), ["on,obsolete=deny,resourcecontrol=deny"])
        writable = [each.endswith(",auto-read-only=off") for each in after(argv, "-drive")]
        self.assertEqual(writable, [False, True, True, False])
        self.assertEqual(set(after(called(disks=disks), "-runas")), set())

    def test_newer_versions_of_qemu_have_another_option_for_the_user(self) -> None:
        argv = called(user=QemuUser(990, 991), version="10.0.13")
        self.assertEqual(after(argv, "-run-with"), ["user=990:991"])
        self.assertNotIn("-runas", argv)

    def test_devices_behind_root_ports(self) -> None:
        disk, slots = AttachedDisk(named_disk("a"), "/f/a"), {"disk-a": "port1"}
        argv = called(disks=[disk], machine_version="q35", how={"slots": slots, "ports": 2})
        first, second, device = after(argv, "-device")
        self.assertIn("pcie-root-port,id=port0,", first)
        self.assertIn("pcie-root-port,id=port1,", second)
        self.assertEqual(device, "virtio-blk-pci,id=disk-a,drive=disk-a,bus=port1,bootindex=1")

    def test_the_volume_for_the_first_boot_comes_last_and_cannot_be_written(self) -> None:
        argv = called(disks=[AttachedDisk(named_disk("a"), "/f/a")], how={"seed": True})
        drive = "file=/run/web1.seed,format=raw,if=none,id=seed,readonly=on"
        self.assertEqual(after(argv, "-drive")[-1], drive)
        self.assertEqual(after(argv, "-device")[-1], "virtio-blk-pci,id=seed,drive=seed")
        argv = called(how={"seed": True, "slots": {"seed": "0x9"}})
        self.assertEqual(after(argv, "-device"), ["virtio-blk-pci,id=seed,drive=seed,addr=0x9"])

    def test_the_names_of_tap_devices_fit_the_kernel(self) -> None:
        self.assertLessEqual(len(tap(NIC)), 15)

    def test_vnc_at_the_port_of_the_instance(self) -> None:
        argv = called(vnc_bind_address="192.0.2.1", keymap="de")
        found = [after(argv, name) for name in ("-vnc", "-vga", "-k")]
        self.assertEqual(found, [["192.0.2.1:5101"], ["std"], ["de"]])

    def test_vnc_with_password_and_certificates(self) -> None:
        argv = called(
            vnc_bind_address="/run/vnc", vnc_tls=True, vnc_x509_path="/x", vnc_x509_verify=True,
            vnc_password_file="/secret",
        )  # fmt: skip
        options = "unix:/run/vnc/web1.vnc,tls-creds=vnc-tls,password-secret=vnc-password"
        self.assertEqual(after(argv, "-vnc"), [options])
        objects = [
            "tls-creds-x509,id=vnc-tls,dir=/x,endpoint=server,verify-peer=on",
            "secret,id=vnc-password,file=/secret",
        ]
        self.assertEqual(after(argv, "-object"), objects)

    def test_odds_and_ends(self) -> None:
        argv = called(
            use_localtime=True, reboot_behavior="exit", usb_mouse="tablet", usb_devices="usb-kbd",
            use_guest_agent=True, kvm_extra="-device 'a b'",
        )  # fmt: skip
        self.assertEqual(after(argv, "-rtc"), ["base=localtime"])
        self.assertIn("-no-reboot", argv)
        agent = "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"
        devices = ["virtio-serial-pci,id=ports", agent, "usb-kbd", "usb-tablet", "a b"]
        self.assertEqual(after(argv, "-device"), devices)

    def test_arguments_that_cannot_be_split_are_named(self) -> None:
        with self.assertRaisesRegex(Invalid, "kvm_extra: 'a cannot be split with shell syntax"):
            called(kvm_extra="'a")

    @given(st.text())
    def test_commas_survive_in_options(self, text: str) -> None:
        halves = escaped(text).split(",,")
        self.assertEqual((",".join(halves), any("," in half for half in halves)), (text, False))
