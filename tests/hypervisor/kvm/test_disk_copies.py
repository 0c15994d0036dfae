# SPDX-License-Identifier: BSD-2-Clause
"""The disks of a running guest are copied to its new node, and are equal when it has arrived."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    ILiveCopies,
    MigrationPhase,
    MigrationProgress,
)
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.devices import disk_id
from ganeti.hypervisor.kvm.disk_copies import LAST_WRITES_TIMEOUT
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.monitor import MonitorConnector
from ganeti.hypervisor.kvm.qemu_migration import ABANDON_TIMEOUT
from ganeti.model.running import apply_running_config
from ganeti.schema.records import replace
from ganeti.testing.block_layer import MemoryBlockLayer
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.local_users import MemoryAccounts
from ganeti.testing.memory_descriptors import MemoryDescriptors
from ganeti.testing.processes import MemoryStateFiles
from ganeti.testing.qemu import QemuNetwork, ScriptedHost, ScriptedQemu

SECRET = "0123456789abcdef" * 2


class DiskCopyCase(SynchronousTestCase):
    """web1 runs on one node, and another one awaits it."""

    security_model = "none"

    def setUp(self) -> None:
        self.clock, network = Clock(), QemuNetwork()
        self.hosts = [ScriptedHost(self.clock, network, ["qemu-system-x86_64"]) for _ in range(2)]
        self.notes = [MemoryStateFiles() for _ in range(2)]
        disks = [a_disk(f"web1/{number}", size=64) for number in range(2)]
        hvparams = {"kernel_path": "", "security_model": self.security_model}
        self.guest = a_guest("web1", hypervisor="kvm", hvparams=hvparams, disks=disks)
        self.attached = [AttachedDisk(disk, f"/dev/{disk.uuid}") for disk in self.guest.disks]
        self.here, self.there = self.hypervisor(0), self.hypervisor(1)
        self.done(self.here.start(self.guest, self.attached))

    def hypervisor(self, node: int) -> KvmHypervisor:
        host = self.hosts[node]
        files = MemoryFiles(host.disk)
        return KvmHypervisor(
            folder="/run/kvm",
            notes=self.notes[node],
            files=files,
            processes=host.processes,
            monitors=MonitorConnector(host.endpoint, self.clock),
            agents=GuestAgents(host.endpoint, self.clock),
            accelerators=AcceleratorSelector(files, host.processes, MemoryStateFiles()),
            clock=self.clock,
            attach=["console.py"],
            ganeti="/run/kvm-hypervisor",
            firmware="/var/lib/kvm-firmware",
            descriptors=MemoryDescriptors(host.disk),
            accounts=MemoryAccounts(),
            user_pool=lambda: ((2000, 2001),),
            images=MemoryImages(),
            scratch="/scratch",
            keys="/keys",
        )

    def done(self, work: Any) -> Any:
        running = Deferred.fromCoroutine(work)
        self.clock.pump([0.01] * 300)
        return self.successResultOf(running)

    def refusal(self, work: Any, kind: type[GanetiError] = GanetiError) -> str:
        running = Deferred.fromCoroutine(work)
        self.clock.pump([0.01] * 300)
        return str(self.failureResultOf(running, kind).value)

    def machine(self, node: int) -> ScriptedQemu:
        return self.hosts[node].machine("web1")

    @property
    def blocks(self) -> MemoryBlockLayer:
        return self.machine(0).blocks

    def copy(self, secret: str = SECRET) -> str:
        """Start the copies; return where the guest is awaited."""
        running = self.done(self.here.running_config(self.guest))
        runs = apply_running_config(self.guest, running)
        address: str = self.done(
            self.there.accept(runs, self.attached, "192.0.2.2", running, secret=secret, copies=True)
        )
        disks = self.done(self.there.receive_disks(runs, "192.0.2.2"))
        self.done(self.here.copy_disks(self.guest, disks, SECRET))
        return address

    def copying(self) -> MigrationProgress:
        found: MigrationProgress = self.done(self.here.copying(self.guest))
        return found

    def sending(self) -> MigrationProgress:
        found: MigrationProgress = self.done(self.here.sending(self.guest))
        return found

    def pause(self) -> None:
        """Send the memory of the guest, which is paused then."""
        address = self.copy()
        self.blocks.follow()
        self.done(self.here.migrate(self.guest, address, live=True, secret=SECRET))
        self.clock.advance(1)
        self.assertEqual(self.machine(0).status, "finish-migrate")

    def nothing_is_left_here(self) -> None:
        self.assertEqual((self.blocks.jobs, self.machine(0).key), ({}, ""))
        self.assertEqual(list(self.blocks.nodes), list(self.blocks.devices.values()))
        self.assertEqual(self.machine(0).status, "running")
        self.assertNotIn("web1.keys", self.hosts[0].disk.names("/run/kvm"))


class CopyTests(DiskCopyCase):
    def test_the_driver_copies_disks(self) -> None:
        self.assertTrue(ILiveCopies.providedBy(self.here))

    def test_every_disk_is_exported_for_writing_and_copied(self) -> None:
        self.copy()
        exports = self.machine(1).blocks.exports.values()
        names = [disk_id(disk) for disk in self.guest.disks]
        self.assertEqual(
            [(each["name"], each["writable"]) for each in exports], [(name, True) for name in names]
        )
        self.assertEqual(list(self.blocks.jobs), [n.replace("disk", "copy") for n in names])

    def test_copies_are_complete_when_all_of_them_follow_the_guest(self) -> None:
        self.copy()
        self.assertEqual(self.copying().phase, MigrationPhase.ACTIVE)
        self.assertEqual(self.copying().total, 128 << 20)
        self.blocks.follow()
        self.assertEqual(self.copying().phase, MigrationPhase.COMPLETED)

    def test_a_copy_that_fails_says_why(self) -> None:
        self.copy()
        next(iter(self.blocks.jobs.values())).update(status="concluded", error="No space left")
        found = self.copying()
        self.assertEqual((found.phase, found.message), (MigrationPhase.FAILED, "No space left"))

    def test_the_guest_arrives_paused_and_nothing_else_writes_when_it_runs(self) -> None:
        self.pause()
        self.assertEqual(self.sending().phase, MigrationPhase.COMPLETED)
        self.assertEqual(self.blocks.jobs, {})
        self.assertEqual((self.here.running(), self.there.running()), ({}, {}))
        self.assertEqual((self.machine(1).status, self.machine(1).blocks.serves), ("paused", True))
        self.done(self.there.finish_incoming(self.guest, arrived=True))
        self.assertFalse(self.there.running()["web1"].paused)
        machine = self.machine(1)
        self.assertEqual((machine.status, machine.blocks.serves), ("running", False))
        self.assertEqual((machine.key, self.hosts[1].disk.names("/run/kvm/web1.keys")), ("", []))
        self.done(self.here.finish_outgoing(self.guest, left=True))
        self.assertEqual(self.here.present(), frozenset())

    def test_the_next_daemon_completes_what_another_one_has_begun(self) -> None:
        self.pause()
        self.here = self.hypervisor(0)
        self.assertEqual(self.sending().phase, MigrationPhase.COMPLETED)

    def test_an_answer_waits_a_moment_for_the_pause(self) -> None:
        address = self.copy()
        self.blocks.follow()
        begun = Deferred.fromCoroutine(
            self.here.migrate(self.guest, address, live=True, secret=SECRET)
        )
        self.clock.pump([0.0] * 100)
        self.successResultOf(begun)
        self.clock.advance(0.9)
        asked = Deferred.fromCoroutine(self.here.sending(self.guest))
        self.clock.pump([0.0] * 100)
        self.assertNoResult(asked)
        self.clock.pump([0.02] * 20)
        self.assertEqual(self.successResultOf(asked).phase, MigrationPhase.COMPLETED)

    def test_a_paused_guest_that_nothing_asks_for_goes_on_here(self) -> None:
        self.pause()
        self.clock.pump([1.0] * int(ABANDON_TIMEOUT))
        self.clock.pump([0.01] * 100)
        self.nothing_is_left_here()
        self.assertEqual(self.sending().phase, MigrationPhase.CANCELLED)

    def test_the_next_daemon_looks_after_it_too(self) -> None:
        self.pause()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.here = self.hypervisor(0)
        self.clock.pump([1.0] * int(ABANDON_TIMEOUT))
        self.clock.pump([0.01] * 100)
        self.nothing_is_left_here()

    def test_one_that_has_been_sent_is_left_to_a_cleanup(self) -> None:
        self.pause()
        self.assertEqual(self.sending().phase, MigrationPhase.COMPLETED)
        self.clock.pump([1.0] * int(2 * ABANDON_TIMEOUT))
        self.assertEqual(self.machine(0).status, "postmigrate")

    def test_a_copy_that_breaks_at_the_end_keeps_the_guest_here(self) -> None:
        self.pause()
        next(iter(self.blocks.jobs.values())).update(status="concluded", error="broken pipe")
        found = self.sending()
        self.assertEqual((found.phase, found.message), (MigrationPhase.FAILED, "broken pipe"))
        self.done(self.here.finish_outgoing(self.guest, left=False))
        self.nothing_is_left_here()

    def test_last_writes_that_do_not_arrive_keep_the_guest_here(self) -> None:
        self.pause()
        self.blocks.refuses["block-job-cancel"] = "hangs"
        asked = Deferred.fromCoroutine(self.here.sending(self.guest))
        self.clock.pump([0.02] * int(LAST_WRITES_TIMEOUT / 0.01))
        found = self.successResultOf(asked)
        self.assertIn("the last writes were not copied within 10 s", found.message)
        del self.blocks.refuses["block-job-cancel"]
        self.done(self.here.finish_outgoing(self.guest, left=False))
        self.nothing_is_left_here()

    def test_a_canceled_copy_leaves_nothing(self) -> None:
        self.copy()
        self.done(self.here.finish_outgoing(self.guest, left=False))
        self.nothing_is_left_here()
        self.done(self.there.finish_incoming(self.guest, arrived=False))
        self.assertEqual(self.there.present(), frozenset())
        self.copy()

    def test_what_cannot_begin_leaves_nothing(self) -> None:
        for command in ("blockdev-add", "blockdev-mirror"):
            self.blocks.refuses[command] = "Connection refused"
            running = self.done(self.here.running_config(self.guest))
            work = self.here.copy_disks(self.guest, "192.0.2.2:8103", SECRET)
            self.assertIn("Connection refused", self.refusal(work))
            del self.blocks.refuses[command]
            self.done(self.here.finish_outgoing(self.guest, left=False))
            self.nothing_is_left_here()
            self.assertEqual(len(running.disks), 2)

    def test_a_guest_with_other_disks_is_refused(self) -> None:
        other = replace(self.guest, disks=self.guest.disks[:1])
        work = self.here.copy_disks(other, "192.0.2.2:8103", SECRET)
        self.assertIn("gnt-instance reboot web1", self.refusal(work, Refused))


class KeyTests(DiskCopyCase):
    def send(self, *, here: str, there: str) -> MigrationProgress:
        running = self.done(self.here.running_config(self.guest))
        runs = apply_running_config(self.guest, running)
        accept = self.there.accept(runs, self.attached, "192.0.2.2", running, secret=there)
        address = self.done(accept)
        self.done(self.here.migrate(self.guest, address, live=True, secret=here))
        self.clock.advance(1)
        return self.sending()

    def test_a_migration_is_encrypted_and_the_key_is_gone_after_it(self) -> None:
        self.assertEqual(self.send(here=SECRET, there=SECRET).phase, MigrationPhase.COMPLETED)
        self.assertTrue(self.machine(0).encrypts)
        self.done(self.there.finish_incoming(self.guest, arrived=True))
        self.assertEqual(self.machine(1).key, "")

    def test_another_secret_is_rejected(self) -> None:
        found = self.send(here=SECRET[::-1], there=SECRET)
        self.assertEqual(found.message, "TLS handshake failed")

    def test_without_a_secret_nothing_is_encrypted(self) -> None:
        self.assertEqual(self.send(here="", there="").phase, MigrationPhase.COMPLETED)
        self.assertFalse(self.machine(0).encrypts)

    def test_what_is_no_secret_is_refused(self) -> None:
        work = self.here.migrate(self.guest, "192.0.2.2:1", live=True, secret="a:b")
        self.assertIn("must be 32 to 128 digits in hex", self.refusal(work))

    def test_only_the_owner_gets_to_the_key_by_its_path(self) -> None:
        self.send(here=SECRET, there=SECRET)
        disk = self.hosts[0].disk
        self.assertEqual(disk.folder_mode("/run/kvm/web1.keys"), 0o700)
        content = disk.contents()["/run/kvm/web1.keys/psk/keys.psk"]
        self.assertEqual(content, f"qemu:{SECRET}\n".encode())


class UnprivilegedKeyTests(KeyTests):
    """QEMU has another user than root, and gets a descriptor of the folder with the key."""

    security_model = "pool"
