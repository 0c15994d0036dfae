# SPDX-License-Identifier: BSD-2-Clause
"""Devices come and go while a guest runs; what fails on the way leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.initial_state import default_hvparams
from ganeti.errors import Failed, Refused
from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.devices import disk_id, netdev_id, nic_id
from ganeti.hypervisor.kvm.hotplug import (
    add_disk,
    add_nic,
    find_problem,
    read_slots,
    remove_disk,
    remove_nic,
    require_hot_disk,
    require_hot_nic,
)
from ganeti.hypervisor.kvm.monitor import CommandFailed, MonitorConnector
from ganeti.hypervisor.kvm.pcie_ports import port_options
from ganeti.hypervisor.kvm.qemu_command import read
from ganeti.model.disk import DiskMode
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningConfig
from ganeti.testing.builders import a_disk
from ganeti.testing.processes import Ran
from ganeti.testing.qemu import Complaint, QemuNetwork, ScriptedHost, ScriptedQemu

QMP = "/run/web1.qmp"
DISK = a_disk("disk0")
CARD = GuestNic(uuid="nic-uuid", mac="aa:00:00:00:00:01", mode="bridged", link="br0")


def kvm(**over: object) -> Kvm:
    return read({**default_hvparams()["kvm"], **over})


class RecordingHost(ScriptedHost):
    """Records the arguments of commands; QEMU does not do those in ``rejects``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, QemuNetwork(), ())
        self.given: dict[str, Mapping[str, Any]] = {}
        self.rejects: set[str] = set()

    def answer(self, machine: ScriptedQemu, command: str, given: Mapping[str, Any]) -> Any:
        self.given[command] = given
        if command in self.rejects:
            return Complaint("no free slot")
        return super().answer(machine, command, given)


class HotplugCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.host = RecordingHost(self.clock)
        pid, argv = self.host.processes.spawn(), ("qemu", "-name", "web1")
        self.host.processes.alive[pid] = Ran(argv, {}, pid=pid)
        self.qemu = self.host.machines[QMP] = ScriptedQemu(pid, argv, "running", host=self.host)
        self.host.disk.put(QMP, b"", 0o600, 0.0)
        self.connector = MonitorConnector(self.host.endpoint, self.clock)

    def begin(self, work: Any) -> Deferred[Any]:
        """Begin what ``work`` does with a monitor."""

        async def talk() -> Any:
            async with self.connector.talk(QMP) as monitor:
                return await work(monitor)

        begun = Deferred.fromCoroutine(talk())
        self.clock.pump([0.0] * 20)
        return begun

    def do(self, work: Any) -> Any:
        begun = self.begin(work)
        self.clock.pump([0.05] * 40)
        return self.successResultOf(begun)

    def add_disk(self, device_file: bool = False, **over: object) -> Any:
        attached = AttachedDisk(DISK, "/srv/disk0")
        return self.do(lambda qemu: add_disk(qemu, attached, kvm(**over), device_file=device_file))

    def add_nic(self, **over: object) -> Any:
        return self.do(lambda qemu: add_nic(qemu, CARD, kvm(**over)))

    def devices(self) -> list[str]:
        return [slot["id"] for slot in self.qemu.slots.values()]

    def count(self, command: str) -> int:
        return self.qemu.asked.count(command)


class DiskTests(HotplugCase):
    def test_a_disk_is_added_with_its_drive(self) -> None:
        self.add_disk(disk_type="paravirtual")
        self.assertEqual((self.devices(), self.qemu.drives), ([disk_id(DISK)], {disk_id(DISK)}))
        expected = {"driver": "file", "filename": "/srv/disk0", "aio": "threads"}
        self.assertEqual(self.host.given["blockdev-add"]["file"], expected)

    def test_a_disk_that_is_there_is_not_added_again(self) -> None:
        for _ in range(2):
            self.add_disk()
        self.assertEqual((self.count("device_add"), self.count("blockdev-add")), (1, 1))

    def test_a_drive_that_an_interrupted_addition_has_left_is_used(self) -> None:
        self.qemu.drives.add(disk_id(DISK))
        self.add_disk()
        self.assertEqual((self.devices(), self.count("blockdev-add")), ([disk_id(DISK)], 0))

    def test_the_drive_is_as_at_the_start_of_a_guest(self) -> None:
        disk = a_disk("disk0", mode=DiskMode.READ_ONLY)
        params = kvm(disk_cache="none", disk_aio="native", disk_discard="unmap")
        attached = AttachedDisk(disk, "/dev/vg0/disk0")
        self.do(lambda qemu: add_disk(qemu, attached, params, device_file=True))
        given = self.host.given["blockdev-add"]
        self.assertEqual((given["read-only"], given["cache"]), (True, {"direct": True}))
        self.assertEqual((given["discard"], given["driver"]), ("unmap", "raw"))
        self.assertEqual((given["file"]["driver"], given["file"]["aio"]), ("host_device", "native"))

    def test_the_drive_of_an_image_has_its_format(self) -> None:
        image = AttachedDisk(a_disk("disk0", params={"format": "qcow2"}), "/srv/disk0")
        self.do(lambda qemu: add_disk(qemu, image, kvm(), device_file=False))
        self.assertEqual(self.host.given["blockdev-add"]["driver"], "qcow2")

    def test_a_cache_that_writes_through_is_off_for_the_guest(self) -> None:
        self.add_disk(disk_cache="writethrough")
        self.assertEqual(self.host.given["device_add"]["write-cache"], "off")
        self.assertEqual(self.host.given["blockdev-add"]["cache"], {"direct": False})

    def test_a_disk_without_a_free_slot_leaves_no_drive(self) -> None:
        self.host.rejects.add("device_add")
        attached = AttachedDisk(DISK, "/srv/disk0")
        adding = self.begin(lambda qemu: add_disk(qemu, attached, kvm(), device_file=False))
        self.failureResultOf(adding, CommandFailed)
        self.assertEqual((self.devices(), self.qemu.drives), ([], set()))

    def test_a_disk_is_removed_with_its_drive_when_the_guest_has_released_it(self) -> None:
        self.add_disk()
        removing = self.begin(lambda qemu: remove_disk(qemu, DISK.uuid, self.clock))
        self.assertNoResult(removing)
        self.assertEqual(self.qemu.drives, {disk_id(DISK)})
        self.clock.pump([0.05] * 40)
        self.successResultOf(removing)
        self.assertEqual((self.devices(), self.qemu.drives), ([], set()))

    def test_a_drive_that_qemu_still_uses_is_closed_a_moment_later(self) -> None:
        self.add_disk()
        self.qemu.lingering = 3
        self.do(lambda qemu: remove_disk(qemu, DISK.uuid, self.clock))
        self.assertEqual((self.count("blockdev-del"), self.qemu.drives), (4, set()))

    def test_a_drive_that_stays_in_use_is_an_error(self) -> None:
        self.add_disk()
        self.qemu.lingering = 1000
        removing = self.begin(lambda qemu: remove_disk(qemu, DISK.uuid, self.clock))
        self.clock.pump([0.05] * 140)
        self.assertIn("is in use", str(self.failureResultOf(removing, CommandFailed).value))

    def test_a_disk_that_is_gone_is_removed(self) -> None:
        self.do(lambda qemu: remove_disk(qemu, DISK.uuid, self.clock))
        self.assertEqual(self.count("device_del"), 0)

    def test_a_guest_that_keeps_its_disk_is_told_of(self) -> None:
        self.add_disk()
        self.host.stubborn.add("web1")
        removing = self.begin(lambda qemu: remove_disk(qemu, DISK.uuid, self.clock))
        self.clock.pump([0.05] * 590)
        self.assertNoResult(removing)
        self.clock.pump([0.05] * 20)
        said = str(self.failureResultOf(removing, Failed).value)
        self.assertIn(f"has not released device {disk_id(DISK)} within 30 s", said)
        self.assertGreater(self.count("device_del"), 500)  # one that boots ignores the first
        self.assertEqual(self.qemu.drives, {disk_id(DISK)})


class NicTests(HotplugCase):
    def test_a_card_is_added_with_its_connection(self) -> None:
        self.add_nic(nic_type="paravirtual", vhost_net=True)
        self.assertEqual(self.devices(), [nic_id(CARD)])
        self.assertEqual(self.qemu.connections, {netdev_id(CARD)})
        given = self.host.given["netdev_add"]
        self.assertEqual((given["type"], given["script"], given["vhost"]), ("tap", "no", True))
        self.assertEqual(self.host.given["device_add"]["mac"], CARD.mac)

    def test_a_card_that_is_there_is_not_added_again(self) -> None:
        for _ in range(2):
            self.add_nic()
        self.assertEqual((self.count("netdev_add"), self.count("device_add")), (1, 1))

    def test_queues_are_those_of_the_parameters(self) -> None:
        self.add_nic(nic_type="paravirtual", virtio_net_queues=4)
        self.assertEqual(self.host.given["netdev_add"]["queues"], 4)
        given = self.host.given["device_add"]
        self.assertEqual((given["mq"], given["vectors"]), (True, 10))

    def test_a_card_with_one_queue_names_none(self) -> None:
        self.add_nic(nic_type="paravirtual", virtio_net_queues=1)
        self.assertNotIn("queues", self.host.given["netdev_add"])
        self.assertNotIn("mq", self.host.given["device_add"])

    def test_a_connection_that_an_interrupted_addition_has_left_is_replaced(self) -> None:
        self.qemu.connections.add(netdev_id(CARD))
        self.add_nic()
        self.assertEqual((self.count("netdev_del"), self.count("netdev_add")), (1, 1))
        self.assertEqual(self.qemu.connections, {netdev_id(CARD)})

    def test_a_card_has_no_header_of_packets_if_that_is_off(self) -> None:
        self.add_nic(vnet_hdr=False)
        self.assertIs(self.host.given["netdev_add"]["vnet-hdr"], False)

    def test_an_emulated_card_has_neither_vhost_nor_queues(self) -> None:
        self.add_nic(nic_type="e1000", vhost_net=True, virtio_net_queues=4)
        self.assertFalse({"vhost", "queues"} & self.host.given["netdev_add"].keys())
        self.assertEqual(self.host.given["device_add"]["driver"], "e1000")

    def test_a_connection_without_a_tap_device_names_none(self) -> None:
        self.add_nic(kvm_net="user")
        given = self.host.given["netdev_add"]
        self.assertEqual(given, {"type": "user", "id": netdev_id(CARD)})

    def test_a_card_without_a_free_slot_leaves_no_connection(self) -> None:
        self.host.rejects.add("device_add")
        adding = self.begin(lambda qemu: add_nic(qemu, CARD, kvm()))
        self.failureResultOf(adding, CommandFailed)
        self.assertEqual(self.qemu.connections, set())

    def test_a_connection_that_cannot_be_removed_is_an_error(self) -> None:
        self.host.rejects.add("netdev_del")
        removing = self.begin(lambda qemu: remove_nic(qemu, CARD, self.clock))
        self.failureResultOf(removing, CommandFailed)

    def test_a_card_is_removed_with_its_connection(self) -> None:
        self.add_nic()
        for _ in range(2):
            self.do(lambda qemu: remove_nic(qemu, CARD, self.clock))
            self.assertEqual((self.devices(), self.qemu.connections), ([], set()))

    def test_addresses_of_devices_are_read_for_a_migration(self) -> None:
        self.add_nic()
        self.add_disk()
        expected = {nic_id(CARD): "0x3", disk_id(DISK): "0x4"}
        self.assertEqual(self.do(read_slots), expected)


class PortTests(HotplugCase):
    """A machine whose devices are behind root ports."""

    def setUp(self) -> None:
        super().setUp()
        self.qemu.argv = (*self.qemu.argv, *port_options(2))

    def test_a_disk_and_a_card_are_added_behind_their_ports(self) -> None:
        attached = AttachedDisk(DISK, "/srv/disk0")
        self.do(lambda qemu: add_disk(qemu, attached, kvm(), device_file=False, port="port1"))
        self.do(lambda qemu: add_nic(qemu, CARD, kvm(kvm_net="user"), port="port0"))
        found = {port: device["id"] for port, device in self.qemu.ports.items()}
        self.assertEqual(found, {"port0": nic_id(CARD), "port1": disk_id(DISK)})

    def test_a_card_behind_a_port_that_is_taken_leaves_no_connection(self) -> None:
        attached = AttachedDisk(DISK, "/srv/disk0")
        self.do(lambda qemu: add_disk(qemu, attached, kvm(), device_file=False, port="port0"))
        adding = self.begin(lambda qemu: add_nic(qemu, CARD, kvm(), port="port0"))
        self.failureResultOf(adding, CommandFailed)
        self.assertEqual(self.qemu.connections, set())


class ProblemTests(SynchronousTestCase):
    def problem(self, *, chosen: str = "pc-i440fx-7.2", **over: Any) -> str:
        hvparams = {**default_hvparams()["kvm"], **over.pop("hvparams", {})}
        fields: dict[str, Any] = {"slots": {}, "chosen": {"machine_version": chosen}, **over}
        running = RunningConfig(memory=128, vcpus=1, hvparams=hvparams, nics=(), disks=(), **fields)
        return find_problem(running, "web1")

    def test_a_guest_with_a_root_bus_and_acpi_takes_devices(self) -> None:
        self.assertEqual(self.problem(), "")

    def test_the_other_guests_are_told_what_to_do(self) -> None:
        restart = "restart it: gnt-instance reboot web1"
        self.assertEqual(
            self.problem(started_by="Ganeti"), f"instance web1 was started by Ganeti; {restart}"
        )
        said = self.problem(slots=None)
        self.assertEqual(said, f"instance web1 was started by an older version; {restart}")
        self.assertIn("set machine_version=pc or q35 and", self.problem(chosen="microvm"))

    def test_a_q35_takes_devices_if_it_was_started_with_root_ports(self) -> None:
        self.assertEqual(self.problem(chosen="pc-q35-7.2", ports=8), "")
        self.assertIn("started by an older version", self.problem(chosen="pc-q35-7.2"))

    def test_cards_behind_root_ports_are_paravirtual(self) -> None:
        def running(kind: str, ports: int) -> RunningConfig:
            hvparams = {**default_hvparams()["kvm"], "nic_type": kind}
            return RunningConfig(
                memory=1, vcpus=1, hvparams=hvparams, nics=(), disks=(), ports=ports
            )

        require_hot_nic(running("paravirtual", 8), "web1")
        require_hot_nic(running("e1000", 0), "web1")
        with self.assertRaisesRegex(Refused, "type e1000 cannot be .* set nic_type=paravirtual"):
            require_hot_nic(running("e1000", 8), "web1")

    def test_a_guest_that_would_not_notice_is_left_alone(self) -> None:
        said = self.problem(hvparams={"acpi": False})
        self.assertEqual(said, "instance web1 runs without acpi, and would not notice a new device")

    def test_devices_of_the_administrator_could_not_be_migrated(self) -> None:
        said = self.problem(hvparams={"kvm_extra": "-device virtio-rng-pci"})
        self.assertIn("has devices from kvm_extra", said)
        self.assertEqual(self.problem(hvparams={"kvm_extra": "-name -devices"}), "")

    def test_only_paravirtual_disks_come_and_go(self) -> None:
        require_hot_disk(kvm(disk_type="paravirtual"), "web1")
        with self.assertRaisesRegex(Refused, "disks of type ide cannot be added or removed while"):
            require_hot_disk(kvm(disk_type="ide"), "web1")
