# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisors in memory, as notes, and KVM with a scripted QEMU."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from ganeti.errors import Failed, Invalid, Refused
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    ConsoleSocket,
    ConsoleStream,
    GuestDevices,
    IHypervisor,
    ILiveSnapshots,
    MigrationPhase,
    NotRunning,
    Running,
)
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.monitor import MonitorConnector
from ganeti.hypervisor.kvm.qemu_user import Ranges
from ganeti.model.disk import DiskMode
from ganeti.model.guest import Guest, GuestNetwork, GuestNic
from ganeti.model.running import RunningConfig, apply_running_config, running_config
from ganeti.model.traffic_rules import TrafficRules
from ganeti.rpc.guest_lease import KILL_TIME
from ganeti.schema.records import replace
from ganeti.system.interfaces import FileAccess, HostUser
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.images import MemoryImages
from ganeti.testing.local_users import MemoryAccounts
from ganeti.testing.memory_descriptors import MemoryDescriptors
from ganeti.testing.processes import MemoryStateFiles, Script
from ganeti.testing.qemu import QemuNetwork, ScriptedHost, ScriptedQemu, devices, option
from tests.contracts import hypervisor as contract
from tests.contracts.hypervisor import CARD
from tests.hypervisor.kvm.test_firmware import put_descriptor

GUESTS = HostUser(990, 991)
NIC = GuestNic(uuid="u" * 36, mac="aa:00:10:00:00:01", mode="bridged", link="br7")


class MemoryHypervisorTests(contract.HypervisorContract):
    def setUp(self) -> None:
        super().setUp()
        self._nodes: dict[str, MemoryHypervisor] = {}

    def hypervisor(self, node: str = "node1") -> MemoryHypervisor:
        return self._nodes.setdefault(node, MemoryHypervisor())

    def test_a_stubborn_guest_ignores_a_polite_stop(self) -> None:
        hypervisor = MemoryHypervisor(stubborn=["web1"])
        self.done(hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.stop("web1", hard=False))
        self.assertEqual(self.names(hypervisor), [["web1"]])
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.names(hypervisor), [[]])

    def test_a_stubborn_guest_keeps_its_memory(self) -> None:
        hypervisor = MemoryHypervisor(stubborn=["web1"])
        self.done(hypervisor.start(self.a_guest(), []))
        self.fails(Failed, hypervisor.set_memory(self.a_guest(), 64))
        self.assertEqual(hypervisor.running()["web1"].memory, 128)

    def test_a_step_of_a_migration_can_be_broken(self) -> None:
        hypervisor = MemoryHypervisor(breaks_at="accept")
        self.fails(Failed, contract.accepted(hypervisor, self.a_guest(), "192.0.2.2"))


class FakeHypervisorTests(contract.HypervisorContract):
    def setUp(self) -> None:
        super().setUp()
        self._nodes: dict[str, MemoryStateFiles] = {}

    def hypervisor(self, node: str = "node1") -> IHypervisor:
        return FakeHypervisor(self._nodes.setdefault(node, MemoryStateFiles()))

    def test_a_damaged_note_keeps_nobody_from_starting(self) -> None:
        self.done(self.hypervisor().start(self.a_guest("web1"), []))
        for note in (b"", b'{"x":' + b"[" * 100_000):
            self._nodes["node1"].put("web1", note)
            self.done(self.hypervisor().start(self.a_guest("web1"), []))


class KvmHypervisorTests(contract.HypervisorContract):
    def setUp(self) -> None:
        super().setUp()
        self._network = QemuNetwork()
        self._nodes: dict[str, tuple[ScriptedHost, MemoryStateFiles]] = {}
        self.descriptors: dict[str, MemoryDescriptors] = {}
        self.pool: Ranges = ()

    def node(self, name: str = "node1") -> tuple[ScriptedHost, MemoryStateFiles]:
        if name not in self._nodes:
            programs = ["qemu-system-x86_64"]
            host = ScriptedHost(self.clock, self._network, programs)
            self._nodes[name] = host, MemoryStateFiles()
            self.descriptors[name] = MemoryDescriptors(host.disk)
        return self._nodes[name]

    def hypervisor(self, node: str = "node1") -> KvmHypervisor:
        host, notes = self.node(node)
        files = MemoryFiles(host.disk)
        return KvmHypervisor(
            folder="/run/kvm",
            notes=notes,
            files=files,
            processes=host.processes,
            monitors=MonitorConnector(host.endpoint, self.clock),
            agents=GuestAgents(host.endpoint, self.clock),
            accelerators=AcceleratorSelector(files, host.processes, MemoryStateFiles()),
            clock=self.clock,
            attach=["/usr/bin/python3", "console.py"],
            ganeti="/run/kvm-hypervisor",
            firmware="/var/lib/kvm-firmware",
            descriptors=self.descriptors[node],
            accounts=MemoryAccounts({"guests": GUESTS}),
            user_pool=lambda: self.pool,
            images=MemoryImages(),
            keys="/var/lib/ganeti",
            scratch="/scratch",
        )

    def a_guest(self, name: str = "web1", **hvparams: Any) -> Guest:
        over = {"kernel_path": "", **hvparams}
        return a_guest(name, hypervisor="kvm", hvparams=over, network_port=11001)

    machine_version = ""

    def test_a_guest_without_a_driver_for_the_balloon_is_named(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        self.done(hypervisor.start(self.a_guest(), []))
        host.stubborn.add("web1")
        said = self.fails(Failed, hypervisor.set_memory(self.a_guest(), 64))
        self.assertIn("the guest of instance web1 did not change its memory of 128 MiB", said)
        self.assertIn("modprobe virtio_balloon", said)
        self.assertEqual(self.hypervisor().running()["web1"].memory, 128)
        running = self.done(hypervisor.running_config(self.a_guest()))
        self.assertEqual(running.used_memory, 128)

    def test_a_balloon_in_the_additional_arguments_is_the_only_one(self) -> None:
        guest = self.a_guest(kvm_extra="-device virtio-balloon-pci,id=balloon")
        self.done(self.hypervisor().start(guest, []))
        argv = self.node()[0].machine("web1").argv
        self.assertEqual(sum("virtio-balloon" in each for each in argv), 1)
        self.done(self.hypervisor().set_memory(guest, 64))

    def test_a_guest_that_gets_memory_counts_with_it_from_the_beginning(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(hypervisor.start(guest, []))
        self.done(hypervisor.set_memory(guest, 64))
        growing = Deferred.fromCoroutine(hypervisor.set_memory(guest, 128))
        self.assertNoResult(growing)
        # As the next daemon finds it, if this one ends now.
        self.assertEqual(self.hypervisor().running()["web1"].memory, 128)
        self.clock.pump([0.1] * 20)
        self.successResultOf(growing)

    def test_a_guest_that_an_earlier_version_started_moves_without_a_balloon(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, []))
        running = replace(self.done(self.hypervisor().running_config(guest)), balloon=False)
        there = self.hypervisor("node2")
        self.done(there.accept(guest, [], "192.0.2.2", running))
        self.assertNotIn("virtio-balloon", str(self.node("node2")[0].machine("web1").argv))
        self.done(there.finish_incoming(guest, arrived=False))

    def runas(self, name: str = "web1", node: str = "node1") -> str:
        """The user and group that a guest's QEMU changes to."""
        return option(self.node(node)[0].machine(name).argv, "-runas")

    def confined_guest(self, **hvparams: Any) -> Guest:
        """A guest whose QEMU has the user of guests."""
        return self.a_guest(security_model="user", security_domain="guests", **hvparams)

    def test_qemu_runs_as_the_named_user(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest("web2"), []))
        self.done(hypervisor.start(self.confined_guest(), []))
        self.assertEqual(self.runas(), "990:991")
        found = self.hypervisor().running()
        self.assertEqual((found["web1"].user, found["web2"].user), (990, 0))
        self.assertNotIn("-runas", self.node()[0].machine("web2").argv)

    def test_a_user_that_is_missing_or_root_runs_no_qemu(self) -> None:
        for name, reason in (
            ("nobody", "this node has no user nobody"),
            ("root", "powers of root"),
        ):
            guest = self.a_guest(security_model="user", security_domain=name)
            said = self.fails(Refused, self.hypervisor().start(guest, []))
            self.assertIn(f"security_domain: {said.partition(': ')[2]}", said)
            self.assertIn(reason, said)
            problems = self.fails(Invalid, self.hypervisor().validate(guest.hvparams))
            self.assertIn(reason, problems)
        self.assertEqual(self.left(), [])

    def test_each_guest_of_a_node_has_a_user_of_the_pool_until_it_ends(self) -> None:
        self.pool, hypervisor = ((990, 990), (2000, 2001)), self.hypervisor()
        for name in ("web1", "web2"):
            self.done(hypervisor.start(self.a_guest(name, security_model="pool"), []))
        # No account has the second one.
        self.assertEqual((self.runas("web1"), self.runas("web2")), ("990:991", "2000:65534"))
        self.done(hypervisor.stop("web1", hard=True))
        self.done(self.hypervisor().start(self.a_guest("web3", security_model="pool"), []))
        self.assertEqual(self.runas("web3"), "990:991")

    def test_a_guest_without_a_free_user_does_not_start(self) -> None:
        guests = [self.a_guest(name, security_model="pool") for name in ("web1", "web2")]
        said = self.fails(Refused, self.hypervisor().start(guests[0], []))
        self.assertIn("needs user IDs for guests, and the cluster has none", said)
        self.pool = ((2000, 2000),)
        self.done(self.hypervisor().start(guests[0], []))
        said = self.fails(Refused, self.hypervisor().start(guests[1], []))
        self.assertIn("all user IDs for guests are in use", said)
        self.assertEqual(list(self.hypervisor().running()), ["web1"])

    def test_a_guest_that_arrives_gets_a_user_of_its_new_node(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        self.pool = ((2000, 2001),)
        self.done(there.start(self.a_guest("web2", security_model="pool"), []))
        guest = self.a_guest(security_model="pool")
        self.done(here.start(guest, []))
        self.done(contract.accepted(there, guest, "192.0.2.2"))
        found = self.runas(node="node1"), self.runas(node="node2")
        self.assertEqual(found, ("2000:65534", "2001:65534"))

    def test_what_a_confined_guest_gets_while_it_runs_is_opened_for_it(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        host.processes.programs["ip"] = lambda ran: Script()
        guest = self.confined_guest(virtio_net_queues=2, vhost_net=True)
        disk, card = a_disk("disk0", mode=DiskMode.READ_ONLY), replace(NIC, mode="routed", link="")
        for path in ("/srv/disk0", "/dev/vhost-net"):
            host.disk.put(path, b"", 0o600, 0)
        self.done(hypervisor.start(guest, []))
        host.disk.add_folder(f"/sys/class/net/{tap(card)}", 0o755)
        self.done(hypervisor.plug(guest, AttachedDisk(disk, "/srv/disk0")))
        self.done(hypervisor.plug(guest, card))
        found = self.descriptors["node1"]
        self.assertEqual(
            [what for what, _ in found.opened.values()],
            ["/srv/disk0", *[f"{tap(card)} (several queues)"] * 2, *["/dev/vhost-net"] * 2],
        )
        self.assertEqual(found.opened[1000][1], FileAccess.READ)
        self.assertEqual(found.still_open, set())
        machine = host.machine("web1")
        self.assertEqual(sorted([*machine.sets.values(), *machine.named.values()]), [*found.opened])

    def test_a_device_is_opened_without_headers_of_packets_if_they_are_off(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        host.processes.programs["ip"] = lambda ran: Script()
        guest, card = self.confined_guest(vnet_hdr=False), replace(NIC, mode="routed", link="")
        self.done(hypervisor.start(guest, []))
        host.disk.add_folder(f"/sys/class/net/{tap(card)}", 0o755)
        self.done(hypervisor.plug(guest, card))
        [(opened, _)] = self.descriptors["node1"].opened.values()
        self.assertEqual(opened, f"{tap(card)} (one queue, without headers)")

    def test_each_virtual_processor_has_its_mask(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        host.processes.programs["taskset"] = Script()
        guest = self.a_guest(cpu_mask="0-1:all:3")
        guest = replace(guest, beparams={**guest.beparams, "vcpus": 3})
        self.done(hypervisor.start(guest, []))
        pid = host.machine("web1").pid
        pinned = [ran.argv for ran in host.processes.ran if ran.argv[0] == "taskset"]
        command = ("taskset", "--cpu-list", "--pid")
        expected = [(*command, "0-1", f"{pid + 1}"), (*command, "3", f"{pid + 3}")]
        self.assertEqual(pinned, expected)

    def test_masks_that_do_not_fit_start_nothing(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        guest = self.a_guest(cpu_mask="0:1:2")
        said = self.fails(Refused, hypervisor.start(guest, []))
        self.assertIn("cpu_mask has 3 masks, but instance web1 has 1 virtual", said)
        host.processes.programs["taskset"] = Script(code=1, err=b"Invalid argument")
        guest = self.a_guest(cpu_mask="98:99")
        guest = replace(guest, beparams={**guest.beparams, "vcpus": 2})
        said = self.fails(Failed, hypervisor.start(guest, []))
        self.assertIn("the processors 98 of this node cannot be used: Invalid argument", said)
        self.assertEqual(self.left(), [])

    def test_the_agent_of_a_guest_shuts_it_down_and_else_its_power_button(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        for answers in (True, False):
            host.agents = {"/run/kvm/web1.agent": []} if answers else {}
            self.done(hypervisor.start(self.a_guest(use_guest_agent=True), []))
            asked = host.machine("web1").asked
            self.done(hypervisor.stop("web1", hard=False))
            self.clock.advance(1)
            self.assertEqual(self.names(hypervisor), [[]])
            self.assertEqual("system_powerdown" in asked, not answers)

    def test_what_cannot_be_opened_for_a_confined_guest_is_not_part_of_it(self) -> None:
        hypervisor, guest = self.hypervisor(), self.confined_guest()
        self.done(hypervisor.start(guest, []))
        before = self.done(hypervisor.running_config(guest))
        missing = AttachedDisk(a_disk("disk0"), "/srv/missing")
        said = self.fails(Failed, hypervisor.plug(guest, missing))
        self.assertIn("/srv/missing cannot be opened for QEMU: No such file or directory", said)
        self.assertEqual(self.done(hypervisor.running_config(guest)), before)

    def test_the_cd_of_a_confined_guest_is_opened_for_it(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        for path in ("/a.iso", "/b.iso"):
            host.disk.put(path, b"", 0o600, 0)
        self.done(hypervisor.start(self.confined_guest(cdrom_image_path="/a.iso"), []))
        other = self.confined_guest(cdrom_image_path="/b.iso")
        self.done(hypervisor.change_media(other, force=False))
        self.assertEqual(self.descriptors["node1"].opened, {1000: ("/b.iso", FileAccess.READ)})

    def test_forwarded_ports_are_known_wherever_the_guest_runs(self) -> None:
        here, there = self.hypervisor(), self.hypervisor("node2")
        guest = self.a_guest(kvm_net="user", kvm_forward_ports="22 80")
        guest = replace(guest, nics=(CARD,))
        self.done(here.start(guest, []))
        running = self.done(self.hypervisor().running_config(guest))
        expected = ("127.0.0.1:40000 to port 22", "127.0.0.1:40001 to port 80")
        self.assertEqual(running.forwards, expected)
        stale = replace(running, forwards=("127.0.0.1:1 to port 22",))
        self.done(there.accept(apply_running_config(guest, running), [], "192.0.2.2", stale))
        self.done(there.finish_incoming(guest, arrived=False))
        self.done(here.unplug(guest, CARD.uuid))
        self.assertEqual(self.done(here.running_config(guest)).forwards, ())

    def uefi_guest(self, *nodes: str) -> Guest:
        """A guest with UEFI, and the firmware on nodes."""
        for node in nodes or ("node1",):
            disk = self.node(node)[0].disk
            put_descriptor(disk, "/usr/share/qemu/firmware/60-edk2.json", "/OVMF/CODE")
        return self.a_guest(kvm_firmware="uefi")

    def kept(self, node: str = "node1") -> list[str]:
        """The UEFI variables and the TPMs that a node has."""
        return self.node(node)[0].disk.names("/var/lib/kvm-firmware")

    def test_uefi_variables_outlive_the_guest(self) -> None:
        hypervisor, guest = self.hypervisor(), self.uefi_guest()
        path = f"/var/lib/kvm-firmware/{guest.uuid}.uefi"
        self.done(hypervisor.start(guest, []))
        self.assertIn(
            f"if=pflash,unit=1,format=raw,file={path}", self.node()[0].machine("web1").argv
        )
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.left(), [])
        self.assertEqual(self.done(self.hypervisor().read_firmware_variables(guest)), b"x")
        self.done(hypervisor.store_firmware_variables(guest, b"y"))
        self.done(hypervisor.start(guest, []))
        self.assertEqual(self.done(hypervisor.read_firmware_variables(guest)), b"y")
        self.done(hypervisor.stop("web1", hard=True))
        self.done(hypervisor.store_firmware_variables(guest, b""))
        self.assertEqual(self.kept("node1"), [])

    def test_uefi_variables_go_along_with_a_migration(self) -> None:
        guest = self.uefi_guest("node1", "node2")
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        name = f"{guest.uuid}.uefi"
        self.done(here.start(guest, []))
        address = self.done(contract.accepted(there, guest, "192.0.2.2"))
        self.assertEqual((self.kept("node1"), self.kept("node2")), ([name], [name]))
        self.done(there.finish_incoming(guest, arrived=False))
        self.assertEqual((self.kept("node1"), self.kept("node2")), ([name], []))
        address = self.done(contract.accepted(there, guest, "192.0.2.2"))
        self.done(here.migrate(guest, address, live=True))
        self.assertEqual(self.sent(here, guest).phase, MigrationPhase.COMPLETED)
        self.done(there.finish_incoming(guest, arrived=True))
        self.done(here.finish_outgoing(guest, left=True))
        self.assertEqual((self.kept("node1"), self.kept("node2")), ([], [name]))

    def tpm_guest(self, **hvparams: Any) -> Guest:
        """A guest with a TPM, and the program on nodes."""
        for node in ("node1", "node2"):
            self.node(node)[0].disk.put("/usr/bin/swtpm", b"", 0o755, 0)
        return self.a_guest(kvm_tpm="2.0", **hvparams)

    def test_a_tpm_runs_beside_its_qemu_and_ends_with_it(self) -> None:
        hypervisor, guest, (host, _) = self.hypervisor(), self.tpm_guest(), self.node()
        for _ in range(2):
            self.done(hypervisor.start(guest, []))
            [tpm] = [pid for pid, ran in host.processes.alive.items() if "swtpm" in ran.argv]
            self.assertIn("socket,id=tpm,path=/run/kvm/web1.tpm/c", host.machine("web1").argv)
            self.done(self.hypervisor().stop("web1", hard=True))
            self.assertNotIn(tpm, host.processes.alive)
            self.assertEqual(self.left(), [])
        self.assertEqual(self.kept(), [f"{guest.uuid}.tpm2"])
        self.done(hypervisor.store_firmware_variables(guest, b""))
        self.assertEqual(self.kept(), [])

    def test_a_tpm_has_no_more_powers_than_its_qemu(self) -> None:
        hypervisor, (host, _) = self.hypervisor(), self.node()
        user = {"security_model": "user", "security_domain": "guests"}
        for more, expected in (
            (user, ["--reuid=990", "--regid=991", "--clear-groups"]),
            ({}, []),
        ):
            self.done(hypervisor.start(self.tpm_guest(**more), []))
            [ran] = [ran for ran in host.processes.ran if "swtpm" in ran.argv][-1:]
            argv = list(ran.argv)
            self.assertEqual(argv[4], "990:991" if more else "0:0")
            powers = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", *expected]
            self.assertEqual(argv[argv.index("setpriv") + 1 : argv.index("swtpm")], powers)
            self.done(hypervisor.stop("web1", hard=True))

    def test_a_tpm_that_does_not_start_leaves_nothing(self) -> None:
        host, _ = self.node()
        host.broken["tpm"] = "no such user"
        said = self.fails(Failed, self.hypervisor().start(self.tpm_guest(), []))
        self.assertIn("the TPM of web1 cannot be started: no such user", said)
        self.assertEqual(self.left(), [])

    def test_a_node_without_swtpm_has_no_tpm(self) -> None:
        guest = self.a_guest(kvm_tpm="2.0")
        said = self.fails(Refused, self.hypervisor().start(guest, []))
        self.assertIn("kvm_tpm: this node has no swtpm: install it", said)
        self.fails(Invalid, self.hypervisor().validate(guest.hvparams))

    def test_the_state_of_a_tpm_goes_with_the_uefi_variables(self) -> None:
        uefi = self.uefi_guest()
        guest = replace(uefi, hvparams={**uefi.hvparams, **self.tpm_guest().hvparams})
        guest = replace(guest, hvparams={**guest.hvparams, "kvm_firmware": "uefi"})
        here, there, (host, _) = self.hypervisor(), self.hypervisor("node2"), self.node()
        self.assertEqual(self.done(here.read_firmware_variables(guest)), b"")
        folder = "/var/lib/kvm-firmware"
        for name, content in (("uefi", b"entries"), ("tpm2", b"\0keys")):
            host.disk.put(f"{folder}/{guest.uuid}.{name}", content, 0o600, 0)
        self.done(
            there.store_firmware_variables(guest, self.done(here.read_firmware_variables(guest)))
        )
        other = MemoryFiles(self.node("node2")[0].disk)
        found = [other.read(f"{folder}/{guest.uuid}.{name}") for name in ("uefi", "tpm2")]
        self.assertEqual(found, [b"entries", b"\0keys"])
        self.fails(Invalid, there.store_firmware_variables(guest, b"{"))

    def test_a_tpm_moves_with_its_guest(self) -> None:
        guest = self.tpm_guest()
        self.done(self.hypervisor().start(guest, []))
        running = self.done(self.hypervisor().running_config(guest))
        self.assertEqual(self.moved(guest, guest, running), "")
        self.done(self.hypervisor().finish_outgoing(guest, left=True))
        self.assertEqual((self.kept(), self.left()), ([], []))
        self.assertEqual(self.kept("node2"), [f"{guest.uuid}.tpm2"])

    def test_a_cleanup_of_a_stopped_guest_leaves_its_uefi_variables(self) -> None:
        hypervisor, guest = self.hypervisor(), self.uefi_guest()
        self.done(hypervisor.start(guest, []))
        self.done(hypervisor.stop("web1", hard=True))
        self.done(hypervisor.finish_incoming(guest, arrived=False))
        self.done(hypervisor.finish_outgoing(guest, left=True))
        self.assertEqual(len(self.kept("node1")), 1)

    def test_a_node_without_the_firmware_starts_and_awaits_nothing(self) -> None:
        guest = self.uefi_guest("node1")
        said = self.fails(Refused, contract.accepted(self.hypervisor("node2"), guest, "192.0.2.2"))
        self.assertIn("web1 cannot run on this node", said)
        self.assertIn("apt-get install ovmf", said)

    def changeable_guest(self) -> Guest:
        return self.a_guest(kvm_net="user", machine_version=self.machine_version)

    def test_devices_of_a_q35_change_behind_its_root_ports(self) -> None:
        self.machine_version = "q35"
        self.test_a_guest_gets_and_loses_devices_while_it_runs()

    def test_root_ports_and_what_is_behind_them_are_part_of_what_is_migrated(self) -> None:
        self.machine_version = "q35"
        self.test_changed_devices_are_part_of_what_is_migrated()

    def test_a_q35_guest_of_an_older_version_moves_without_root_ports(self) -> None:
        notes = self.node()[1]
        guest = self.a_guest(kvm_net="user", machine_version="q35")
        self.done(self.hypervisor().start(replace(guest, nics=(CARD,)), []))
        record = msgspec.json.decode(notes.read_all()["web1"])
        for name in ("ports", "balloon"):
            del record["config"][name]
        record["config"]["slots"] = {}
        notes.put("web1", msgspec.json.encode(record))
        here, there = self.hypervisor(), self.hypervisor("node2")
        self.assertIn("older version", self.done(here.find_hotplug_problem(guest)))
        running = self.done(here.running_config(guest))
        self.done(there.accept(apply_running_config(guest, running), [], "192.0.2.2", running))
        added = devices(self.node("node2")[0].machine("web1").argv)
        self.assertEqual([each.partition(",")[0] for each in added], ["virtio-net-pci"])
        self.assertNotIn("bus=", added[0])

    def left(self) -> list[str]:
        """What a node still holds of its guests."""
        host, notes = self.node()
        return [*notes.read_all(), *host.disk.names("/run/kvm"), *map(str, host.processes.alive)]

    def tearDown(self) -> None:
        # Time-outs of answers that came are called off.
        self.clock.advance(2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left_of_a_guest_that_was_stopped(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        self.assertNotEqual(self.left(), [])
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.left(), [])

    def test_nothing_is_left_of_a_guest_that_did_not_start(self) -> None:
        self.node()[0].broken["web1"] = "Could not open 'x': No such file or directory"
        for work in (
            self.hypervisor().start(self.a_guest(), []),
            contract.accepted(self.hypervisor(), self.a_guest(), "192.0.2.1"),
        ):
            self.assertEqual(
                self.fails(Failed, work),
                "QEMU cannot start web1: Could not open 'x': No such file or directory",
            )
            self.assertEqual(self.left(), [])

    def test_a_guest_that_ignores_its_power_button_runs_on_until_it_is_stopped_hard(self) -> None:
        self.node()[0].stubborn.add("web1")
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.stop("web1", hard=False))
        self.clock.advance(10)
        self.assertEqual(self.names(hypervisor), [["web1"]])
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.left(), [])

    def test_a_qemu_that_does_not_answer_is_killed(self) -> None:
        host, _ = self.node()
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        host.deaf.add("web1")
        message = self.fails(Failed, hypervisor.stop("web1", hard=False))
        self.assertIn("did not answer the greeting within 10 s", message)
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual([number for _, number in host.processes.killed], [9])
        self.assertEqual(self.left(), [])

    def test_a_qemu_that_takes_long_to_end_is_not_killed(self) -> None:
        host, _ = self.node()
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        host.slow["quit"] = 25
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual((host.processes.killed, self.left()), ([], []))

    def test_a_guest_whose_disks_are_slow_is_let_run(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.a_guest()
        self.node("node2")[0].slow["cont"] = 100
        self.done(here.start(guest, []))
        address = self.done(contract.accepted(there, guest, "192.0.2.2"))
        self.done(here.migrate(guest, address, live=False))
        self.sent(here, guest)
        self.done(there.finish_incoming(guest, arrived=True))
        self.assertEqual(self.names(there), [["web1"]])

    def test_a_guest_whose_qemu_died_can_be_started_again(self) -> None:
        host, _ = self.node()
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        host.processes.kill(host.machine("web1").pid, 9)
        self.assertEqual(self.names(hypervisor), [[]])
        self.fails(NotRunning, hypervisor.stop("web1", hard=False))
        self.done(hypervisor.start(self.a_guest(), []))
        self.assertEqual(self.names(hypervisor), [["web1"]])

    def test_nothing_is_left_of_a_guest_whose_qemu_died_once_it_is_stopped(self) -> None:
        host, _ = self.node()
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        host.processes.kill(host.machine("web1").pid, 9)
        self.fails(NotRunning, hypervisor.stop("web1", hard=True))
        self.assertEqual(self.left(), [])

    def test_a_guest_is_found_whose_start_the_daemon_did_not_survive(self) -> None:
        host, notes = self.node()
        self.done(self.hypervisor().start(self.a_guest(), []))
        before = self.hypervisor().running()
        pid = host.machine("web1").pid
        started = notes.read_all()["web1"]
        notes.put("web1", started.replace(b'"here"', b'"starting"').replace(b"%d" % pid, b"0"))
        hypervisor = self.hypervisor()
        self.assertEqual(hypervisor.running(), before)
        self.fails(Running, hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.left(), [])

    def test_a_qemu_that_comes_up_after_the_next_daemon_is_found_too(self) -> None:
        host, notes = self.node()
        self.done(self.hypervisor().start(self.a_guest(), []))
        started, pid = notes.read_all()["web1"], host.machine("web1").pid
        notes.put("web1", started.replace(b'"here"', b'"starting"').replace(b"%d" % pid, b"0"))
        process = host.processes.alive.pop(pid)
        hypervisor = self.hypervisor()
        host.processes.alive[pid] = process
        self.assertEqual(self.names(hypervisor), [[]])
        self.fails(Running, hypervisor.start(self.a_guest(), []))
        self.assertEqual(self.names(hypervisor), [["web1"]])

    def test_nothing_is_left_of_a_guest_that_cannot_be_awaited(self) -> None:
        for port in range(8102, 8134):
            self._network.awaited[f"tcp:192.0.2.2:{port}"] = ScriptedQemu(1, (), "running")
        message = self.fails(
            Failed, contract.accepted(self.hypervisor(), self.a_guest(), "192.0.2.2")
        )
        self.assertEqual(message, "no free port from 8102 to 8133 at 192.0.2.2")
        self.assertEqual(self.left(), [])

    def test_a_guest_is_found_whose_note_was_damaged(self) -> None:
        _, notes = self.node()
        self.done(contract.accepted(self.hypervisor(), self.a_guest("web1"), "192.0.2.1"))
        self.done(self.hypervisor().start(self.a_guest("web2"), []))
        for name in ("web1", "web2", "web3"):
            notes.put(name, b"")
        hypervisor = self.hypervisor()
        self.assertEqual(self.names(hypervisor), [["web2"]])
        self.fails(Running, hypervisor.start(self.a_guest("web1"), []))
        self.done(hypervisor.start(self.a_guest("web3"), []))

    def test_another_process_with_the_pid_of_a_guest_is_not_taken_for_it(self) -> None:
        host, notes = self.node()
        self.done(self.hypervisor().start(self.a_guest(), []))
        notes.put("web1", notes.read_all()["web1"].replace(b"memory:", b"earlier:"))
        hypervisor = self.hypervisor()
        self.assertEqual(self.names(hypervisor), [[]])
        self.fails(NotRunning, hypervisor.stop("web1", hard=True))
        self.assertEqual(host.processes.killed, [])

    def test_disks_and_software_emulation_reach_the_command(self) -> None:
        disks = [AttachedDisk(a_disk("a"), "/f/a")]
        self.done(self.hypervisor().start(self.a_guest(), disks))
        argv = self.node()[0].machine("web1").argv
        self.assertIn("pc-i440fx-7.2,accel=tcg", argv)
        self.assertIn("file=/f/a,format=raw,if=none,id=disk-47a6769b4ef7,aio=threads", argv)

    def moved(
        self, guest: Guest, configured: Guest, running: RunningConfig, seed: bytes | None = None
    ) -> str:
        """Start a guest, send it on, and answer what its receiver wrote if it did not arrive."""
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        arriving = apply_running_config(configured, running)
        address = self.done(there.accept(arriving, [], "192.0.2.2", running, seed=seed))
        self.done(here.migrate(configured, address, live=True))
        arrived = self.sent(here, guest).phase is MigrationPhase.COMPLETED
        return self.done(there.finish_incoming(configured, arrived=arrived))

    def test_a_guest_moves_with_what_it_was_started_with_whatever_is_configured(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, []))
        changed = replace(
            self.a_guest(machine_version="q35", nic_type="e1000", usb_mouse="tablet"),
            beparams={"maxmem": 512, "minmem": 512, "vcpus": 4},
            nics=(NIC,),
        )
        running = self.done(self.hypervisor().running_config(changed))
        self.assertEqual(self.moved(guest, changed, running), "")
        self.assertEqual(self.names(self.hypervisor("node2")), [["web1"]])

    def test_the_receiver_says_why_a_guest_did_not_arrive(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, []))
        wrong = running_config(replace(guest, beparams={**guest.beparams, "vcpus": 2}), {}, "")
        said = self.moved(guest, guest, wrong)
        self.assertEqual(said, "Unknown savevm section or instance 'cpu' (1, 2)")
        host, notes = self.node("node2")
        self.assertEqual([*notes.read_all(), *host.disk.names("/run/kvm")], [])

    def test_the_log_of_a_guest_that_arrived_is_closed(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, []))
        running = self.done(self.hypervisor().running_config(guest))
        self.moved(guest, guest, running)
        host, _ = self.node("node2")
        self.assertIn("human-monitor-command", host.machine("web1").asked)
        self.assertNotIn("web1.log", host.disk.names("/run/kvm"))

    def test_a_newer_qemu_receives_the_machine_that_was_started_by_an_older_one(self) -> None:
        self.node("node2")[0].version = "10.0.2"
        guest = self.a_guest(machine_version="pc-i440fx-6.2")
        self.done(self.hypervisor().start(guest, []))
        running = self.done(self.hypervisor().running_config(self.a_guest()))
        self.assertEqual(self.moved(guest, self.a_guest(), running), "")
        there = self.done(self.hypervisor("node2").running_config(guest))
        self.assertEqual((there.version, there.chosen), ("10.0.2", running.chosen))

    def test_the_version_is_that_of_the_program_of_the_parameters(self) -> None:
        self.node()[0].version = "10.0.2"
        self.assertEqual(self.done(self.hypervisor().version({})), "10.0.2")

    def test_a_machine_type_that_the_node_does_not_offer_is_refused(self) -> None:
        for work in (
            self.hypervisor().start(self.a_guest(machine_version="pc-i440fx-10.0"), []),
            contract.accepted(
                self.hypervisor(), self.a_guest(machine_version="pc-i440fx-10.0"), "192.0.2.2"
            ),
        ):
            message = self.fails(Refused, work)
            self.assertIn("web1 cannot run on this node: machine_version: QEMU 7.2.0", message)
        self.assertEqual(self.left(), [])

    def test_a_guest_of_an_older_version_moves_with_what_is_known_of_it(self) -> None:
        _, notes = self.node()
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, []))
        note = msgspec.json.decode(notes.read_all()["web1"])
        del note["config"]
        notes.put("web1", msgspec.json.encode(note))
        # It had no balloon.
        self.node()[0].machine("web1").slots.clear()
        changed = replace(guest, beparams={"maxmem": 512, "minmem": 512, "vcpus": 4})
        changed = replace(changed, hvparams={**guest.hvparams, "machine_version": "q35"})
        running = self.done(self.hypervisor().running_config(changed))
        self.assertEqual((running.memory, running.vcpus), (guest.memory, guest.vcpus))
        self.assertEqual(running.chosen["machine_version"], "pc-i440fx-7.2")
        self.assertEqual(self.moved(guest, changed, running), "")

    def test_a_q35_guest_has_one_cd_drive_on_each_port(self) -> None:
        host, _ = self.node()
        for image in ("/a.iso", "/b.iso"):
            host.disk.put(image, b"", 0o644, 0)
        guest = self.a_guest(
            machine_version="q35", cdrom_image_path="/a.iso", cdrom2_image_path="/b.iso"
        )
        self.done(self.hypervisor().start(guest, []))
        drives = [each for each in devices(host.machine("web1").argv) if "ide-cd" in each]
        self.assertEqual(
            drives,
            ["ide-cd,drive=cdrom0,bus=ide.5,unit=0", "ide-cd,drive=cdrom1,bus=ide.4,unit=0"],
        )

    def with_cd(self) -> ScriptedHost:
        """A running guest with a CD in its drive."""
        for image in ("/a.iso", "/b.iso"):
            self.node()[0].disk.put(image, b"", 0o644, 0)
        self.done(self.hypervisor().start(self.a_guest(cdrom_image_path="/a.iso"), []))
        return self.node()[0]

    def change_cd(self, image: str, *, force: bool = False) -> Coroutine[Deferred[Any], Any, None]:
        guest = self.a_guest(cdrom_image_path=image)
        return self.hypervisor().change_media(guest, force=force)

    def test_a_cd_is_taken_out_and_put_into_the_drive_that_stays(self) -> None:
        host = self.with_cd()
        for image, command in (("", "eject"), ("/b.iso", "blockdev-change-medium")):
            self.done(self.change_cd(image))
            self.assertEqual(host.machine("web1").asked[-1], command)
            running = self.done(self.hypervisor().running_config(self.a_guest()))
            self.assertEqual(running.hvparams["cdrom_image_path"], image)
            self.assertEqual(running.empty_drives, () if image else ("cdrom_image_path",))
        asked = list(host.machine("web1").asked)
        self.done(self.change_cd("/b.iso"))
        self.assertEqual(host.machine("web1").asked, asked)

    def test_a_guest_moves_with_its_empty_drive_to_a_node_without_the_image(self) -> None:
        self.with_cd()
        self.done(self.change_cd(""))
        running = self.done(self.hypervisor().running_config(self.a_guest()))
        self.assertEqual(self.moved(self.a_guest(), self.a_guest(), running), "")
        argv = self.node("node2")[0].machine("web1").argv
        self.assertIn("if=none,id=cdrom0,media=cdrom,readonly=on", argv)

    def test_the_volume_for_the_first_boot_is_as_secret_as_what_is_on_it(self) -> None:
        self.done(self.hypervisor().start(self.a_guest(), [], seed=b"iso"))
        host, _ = self.node()
        volume = MemoryFiles(host.disk).stat("/run/kvm/web1.seed")
        assert volume is not None
        self.assertEqual(
            (volume.mode, MemoryFiles(host.disk).read("/run/kvm/web1.seed")), (0o600, b"iso")
        )
        self.assertIn("virtio-blk-pci,id=seed,drive=seed", host.machine("web1").argv)
        self.done(self.hypervisor().stop("web1", hard=True))
        self.assertEqual(self.left(), [])

    def test_a_guest_moves_with_its_volume_for_the_first_boot(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor().start(guest, [], seed=b"iso"))
        running = self.done(self.hypervisor().running_config(guest))
        self.assertEqual(self.moved(guest, guest, running, seed=b"iso"), "")
        host, _ = self.node("node2")
        self.assertEqual(MemoryFiles(host.disk).read("/run/kvm/web1.seed"), b"iso")
        self.assertIn("virtio-blk-pci,id=seed,drive=seed", host.machine("web1").argv)

    def test_a_guest_that_has_locked_a_drive_is_asked_to_open_it(self) -> None:
        host = self.with_cd()
        host.locked["web1"] = 3
        self.done(self.change_cd(""))
        self.assertEqual(host.machine("web1").asked.count("eject"), 4)

    def test_a_drive_that_stays_locked_keeps_its_cd(self) -> None:
        host = self.with_cd()
        for image in ("", "/b.iso"):
            host.locked["web1"] = 1000
            said = self.fails(Refused, self.change_cd(image))
            self.assertIn("the guest of instance web1 has locked the CD drive", said)
            self.assertIn("unmount the CD there and try again, or use --force", said)
            running = self.done(self.hypervisor().running_config(self.a_guest()))
            self.assertEqual(running.hvparams["cdrom_image_path"], "/a.iso")

    def test_a_locked_drive_is_changed_by_force(self) -> None:
        host = self.with_cd()
        for image in ("", "/b.iso"):
            host.locked["web1"] = 1000
            self.done(self.change_cd(image, force=True))
        self.assertEqual(host.locked["web1"], 1000)

    def test_the_console_is_the_one_that_the_guest_was_started_with(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        access = self.done(hypervisor.console(self.a_guest(serial_console=False)))
        self.assertEqual(access.kind, ConsoleKind.SSH)

    def test_a_node_reaches_the_consoles_that_a_guest_was_started_with(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(vnc_bind_address="0.0.0.0"), []))
        self.assertEqual(
            self.done(hypervisor.console_sockets(self.a_guest())),
            {
                ConsoleStream.SERIAL: ConsoleSocket(path="/run/kvm/web1.serial"),
                ConsoleStream.VNC: ConsoleSocket(host="127.0.0.1", port=11001),
            },
        )

    def test_a_screen_can_be_at_a_socket_in_a_folder(self) -> None:
        hypervisor = self.hypervisor()
        guest = self.a_guest(serial_console=False, vnc_bind_address="/run/vnc/")
        self.done(hypervisor.start(guest, []))
        expected = {ConsoleStream.VNC: ConsoleSocket(path="/run/vnc/web1.vnc")}
        self.assertEqual(self.done(hypervisor.console_sockets(guest)), expected)

    def test_consoles_are_serial_or_vnc_or_not_there(self) -> None:
        hypervisor = self.hypervisor()
        serial = ("/usr/bin/python3", "console.py", "/run/kvm/web1.serial")
        vnc: dict[str, Any] = {"serial_console": False, "vnc_bind_address": "192.0.2.1"}
        for guest, expected in (
            (self.a_guest(), ConsoleAccess(kind=ConsoleKind.SSH, command=serial)),
            (
                self.a_guest(**vnc),
                ConsoleAccess(kind=ConsoleKind.VNC, host="192.0.2.1", port=11001, display="5101"),
            ),
        ):
            self.done(hypervisor.start(guest, []))
            self.assertEqual(self.done(hypervisor.console(guest)), expected)
            self.done(hypervisor.stop("web1", hard=True))
        self.done(hypervisor.start(self.a_guest(serial_console=False), []))
        none = self.done(hypervisor.console(self.a_guest(serial_console=False)))
        self.assertIn("set the hypervisor parameter serial_console", none.message or "")

    def test_a_bridge_that_is_not_there_is_refused_before_anything_is_started(self) -> None:
        guest = a_guest(hypervisor="kvm", hvparams={"kernel_path": ""}, nics=(NIC,))
        message = self.fails(Refused, self.hypervisor().start(guest, []))
        self.assertIn("this node has no bridge br7: create it", message)
        self.assertEqual(self.left(), [])

    def test_an_address_of_the_node_is_refused_before_a_running_guest_is_stopped(self) -> None:
        routes = Script(out=b'[{"type": "local"}]')
        self.node()[0].processes.programs["ip"] = routes
        card = replace(NIC, mode="routed", link="", ip="192.0.2.1")
        equipment = GuestDevices((card,))
        checked = self.hypervisor().validate({"kernel_path": ""}, equipment)
        self.assertIn("192.0.2.1 is one of this node itself", self.fails(Invalid, checked))

    def test_filters_of_running_guests_are_restored(self) -> None:
        host, _ = self.node()
        host.processes.programs |= {"ip": Script(), "nft": Script()}
        host.disk.put("/usr/sbin/nft", b"", 0o755, 0)
        card = replace(NIC, mode="routed", link="", rules=TrafficRules(anti_spoofing=True))
        for name, cards in (("web1", (card,)), ("web2", ())):
            self.done(self.hypervisor().start(replace(self.a_guest(name), nics=cards), []))
        host.disk.add_folder(f"/sys/class/net/{tap(card)}", 0o755)
        # By another daemon, which reads the record of the guest.
        restored = self.done(self.hypervisor().restore_filters())
        self.assertEqual(list(restored), ["web1"])
        self.assertIn(b"check_source", host.processes.ran[-1].stdin)

    def test_dhcp_servers_of_running_guests_are_restored(self) -> None:
        host, _ = self.node()
        host.processes.programs |= {"ip": Script(), "nft": Script(), "nsenter": Script()}
        for program in ("nft", "dnsmasq"):
            host.disk.put(f"/usr/sbin/{program}", b"", 0o755, 0)
        office = GuestNetwork(name="office", uuid="u", tags=("dhcp",), subnet="192.0.2.0/24")
        card = replace(NIC, mode="routed", link="", ip="192.0.2.7", network=office)
        self.done(self.hypervisor().start(replace(self.a_guest("web1"), nics=(card,)), []))
        host.disk.add_folder(f"/sys/class/net/{tap(card)}", 0o755)
        # By another daemon, which reads the record of the guest.
        self.assertEqual(list(self.done(self.hypervisor().restore_servers())), ["web1"])

    def test_guests_are_awaited_at_the_next_free_port(self) -> None:
        hypervisor = self.hypervisor()
        addresses = [
            self.done(contract.accepted(hypervisor, self.a_guest(name), "192.0.2.2"))
            for name in ("web1", "web2")
        ]
        self.assertEqual(addresses, ["192.0.2.2:8102", "192.0.2.2:8103"])

    def test_a_qemu_that_hangs_is_killed_without_being_asked(self) -> None:
        self.done(self.hypervisor().start(self.a_guest(), []))
        self.node()[0].deaf.add("web1")
        began = self.clock.seconds()
        self.done(self.hypervisor().kill(["web1"]))
        self.assertEqual((self.clock.seconds(), self.left()), (began, []))

    def test_a_qemu_that_hangs_in_the_kernel_keeps_no_other_from_being_killed(self) -> None:
        for name in ("web1", "web2"):
            self.done(self.hypervisor().start(self.a_guest(name), []))
        host, _ = self.node()
        host.processes.unkillable.add(host.machine("web1").pid)
        began = self.clock.seconds()
        message = self.fails(Failed, self.hypervisor().kill(["web1", "web2"]))
        self.assertEqual(message, "killed, but not ended yet: the processes of web1")
        self.assertLess(self.clock.seconds() - began, KILL_TIME)
        self.assertEqual(self.hypervisor().present(), {"web1"})

    def test_a_qemu_that_has_just_been_started_is_present_before_that_is_recorded(self) -> None:
        _, notes = self.node()
        self.done(self.hypervisor().start(self.a_guest(), []))
        note = msgspec.json.decode(notes.read_all()["web1"])
        notes.put("web1", msgspec.json.encode({**note, "pid": 0, "identity": ""}))
        watchdog = self.hypervisor()
        self.assertEqual(watchdog.present(), {"web1"})

    def test_a_guest_that_cannot_be_sent_runs_on(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(hypervisor.start(guest, []))
        self.done(hypervisor.migrate(guest, "192.0.2.9:8102", live=False))
        self.assertEqual(self.sent(hypervisor, guest).message, "Connection refused")
        self.done(hypervisor.finish_outgoing(guest, left=False))
        self.assertEqual(self.node()[0].machine("web1").status, "running")

    def test_snapshots_of_all_disks_are_one_transaction(self) -> None:
        hypervisor, disks = self.hypervisor(), [a_disk("a"), a_disk("b")]
        guest = replace(self.a_guest(use_guest_agent=False), disks=tuple(disks))
        self.done(hypervisor.start(guest, [AttachedDisk(disk, "/f") for disk in disks]))
        self.assertFalse(self.done(ILiveSnapshots(hypervisor).snapshot_disks(guest, "gnt-1")))
        fewer = replace(guest, disks=guest.disks[:1])
        message = self.fails(Refused, hypervisor.snapshot_disks(fewer, "gnt-2"))
        self.assertIn("gnt-instance reboot web1", message)
        self.done(hypervisor.remove_disk_snapshots(guest, "gnt-1"))
        asked = self.node()[0].machine("web1").asked
        self.assertEqual(asked.count("transaction"), 1)
        self.assertEqual(asked.count("blockdev-snapshot-delete-internal-sync"), 2)

    def test_a_guest_without_an_agent_is_not_frozen(self) -> None:
        hypervisor = self.hypervisor()
        guest = replace(self.a_guest(use_guest_agent=True), disks=(a_disk("a"),))
        self.done(hypervisor.start(guest, [AttachedDisk(guest.disks[0], "/f")]))
        self.assertFalse(self.done(hypervisor.snapshot_disks(guest, "gnt-1")))
        self.done(hypervisor.release_guest(guest))

    def test_a_guest_is_held_only_if_it_runs_and_goes_on_also_after_a_failure(self) -> None:
        hypervisor = self.hypervisor()
        guest = self.a_guest(use_guest_agent=False)
        self.done(hypervisor.start(guest, []))
        machine = self.node()[0].machine("web1")

        async def work() -> str:
            async with hypervisor.hold_writes(guest):
                held = str(machine.status)
                if machine.asked.count("stop") > 1:
                    raise ValueError
            return held

        self.assertEqual(self.done(work()), "paused")
        self.assertEqual(machine.status, "running")
        self.fails(ValueError, work())
        self.assertEqual(machine.status, "running")
        machine.status = "prelaunch"
        machine.asked.clear()
        self.assertEqual(self.done(work()), "prelaunch")
        self.done(hypervisor.release_guest(guest))
        self.assertEqual(machine.status, "prelaunch")
        # As by a person, in QEMU's monitor.
        machine.status = "paused"
        self.assertEqual(self.done(work()), "paused")
        self.done(hypervisor.release_guest(guest))
        self.assertEqual(machine.status, "paused")
