# SPDX-License-Identifier: BSD-2-Clause
"""A node's answers to the calls about guests."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Invalid, Refused
from ganeti.hypervisor.interfaces import NotRunning, Running
from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import running_config
from ganeti.node.instances import Instances
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.instances import (
    AcceptInstance,
    ConsoleInfo,
    DescribeConsole,
    DescribeRunning,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    InstallOS,
    ListGuests,
    MigrateInstanceCall,
    Migration,
    MigrationStatus,
    ReadFirmwareVariables,
    RebootInstanceCall,
    RebootMethod,
    RenameOS,
    StartInstanceCall,
    StopInstance,
    StoreFirmwareVariables,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.processes import MemoryProcesses, Ran, Script
from tests.node.test_oses import SCRIPTS, a_file, put

WEB1 = a_guest("web1", os="mini", disks=[a_disk("a")])
STARTED = running_config(WEB1, {}, "1.0")


async def paths(guest: Guest) -> Sequence[str]:
    return [f"/attached/{disk.iv_name}" for disk in guest.disks]


def stop(name: str = "web1", timeout: int = 60) -> StopInstance:
    return StopInstance(instance_name=name, hypervisor="fake", timeout=timeout)


class InstancesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        disk = MemoryDisk()
        put(disk, "/os/mini")
        programs = {f"/os/mini/{name}": Script(takes=1) for name in SCRIPTS}
        self.processes = MemoryProcesses(self.clock, programs)
        files = MemoryFiles(disk)
        definitions = OSDefinitions(files, ["/os"])
        self.scripts = OSScripts(
            definitions,
            self.processes,
            files,
            "/log",
            self.clock.seconds,
            cache="/cache",
            work="/run/seeds",
        )
        self.hypervisor = MemoryHypervisor()
        self.instances = self.of(self.hypervisor)
        self.disk = disk

    def of(self, hypervisor: MemoryHypervisor, node: str = "node1") -> Instances:
        return Instances({"fake": hypervisor}, paths, self.scripts, self.clock, node)

    def start(self, name: str = "web1") -> None:
        self.successResultOf(self.instances.start(StartInstanceCall(guest=a_guest(name))))

    def test_a_guest_starts_with_the_paths_of_its_disks(self) -> None:
        self.successResultOf(self.instances.start(StartInstanceCall(guest=WEB1)))
        self.assertEqual(self.hypervisor.disks, {"web1": ("/attached/disk/0",)})

    def test_starting_a_running_guest_does_nothing(self) -> None:
        self.start()
        self.start()
        self.assertEqual(self.hypervisor.asked, [("start", "web1")])

    def test_firmware_variables_are_bytes_and_travel_as_text(self) -> None:
        store = StoreFirmwareVariables(guest=WEB1, content="AP8=")
        self.successResultOf(self.instances.keep_uefi_variables(store))
        self.assertEqual(list(self.hypervisor.variables.values()), [b"\x00\xff"])
        read = ReadFirmwareVariables(guest=WEB1)
        found = self.successResultOf(self.instances.send_uefi_variables(read))
        self.assertEqual(found, "AP8=")
        wrong = StoreFirmwareVariables(guest=WEB1, content="no base64")
        failure = self.failureResultOf(self.instances.keep_uefi_variables(wrong), Invalid)
        self.assertIn("content: is not base64", str(failure.value))

    def test_a_guest_may_take_all_the_time_that_it_was_given(self) -> None:
        self.hypervisor.stubborn.add("web1")
        self.start()
        stopping = Deferred.fromCoroutine(self.instances.stop(stop(timeout=7200)))
        self.clock.pump([1.0] * 7190)
        self.assertNoResult(stopping)
        self.hypervisor.stubborn.clear()
        self.clock.pump([1.0] * 9)
        self.successResultOf(stopping)
        self.assertNotIn(("stop hard", "web1"), self.hypervisor.asked)

    def test_an_awaited_guest_is_not_started(self) -> None:
        self.successResultOf(
            self.instances.accept(AcceptInstance(guest=WEB1, address="192.0.2.1", running=STARTED))
        )
        self.failureResultOf(self.instances.start(StartInstanceCall(guest=WEB1)), Running)

    def seed_boots(self, text: str = "#cloud-config") -> None:
        """Let the OS definition prepare the boot of its guests, or with "" no longer."""

        def write(ran: Ran) -> Script:
            if text:
                a_file(self.disk, f"{ran.env['SEED_FOLDER']}/user-data", text)
            return Script()

        a_file(self.disk, "/os/mini/seed", mode=0o755)
        self.processes.programs["/os/mini/seed"] = write

    def test_a_guest_starts_with_the_volume_of_its_os_definition(self) -> None:
        self.start()
        self.assertIsNone(self.hypervisor.seeds["web1"])
        self.seed_boots()
        self.successResultOf(self.instances.start(StartInstanceCall(guest=replace(WEB1, name="a"))))
        self.assertIn(b"#cloud-config", self.hypervisor.seeds["a"] or b"")

    def test_a_hard_reboot_prepares_the_boot_again(self) -> None:
        self.start()
        self.seed_boots()
        again = RebootInstanceCall(guest=WEB1, kind=RebootMethod.HARD, timeout=0)
        self.successResultOf(self.instances.reboot(again))
        self.assertIn(b"#cloud-config", self.hypervisor.seeds["web1"] or b"")

    def test_a_guest_with_a_volume_gets_one_where_it_migrates_to(self) -> None:
        running = replace(STARTED, seed=True)
        accept = AcceptInstance(guest=WEB1, address="192.0.2.1", running=running)
        failure = self.failureResultOf(self.instances.accept(accept), Refused)
        self.assertIn("install the same OS definitions on all nodes", str(failure.value))
        self.assertEqual(self.hypervisor.asked, [])
        self.seed_boots()
        self.successResultOf(self.instances.accept(accept))
        self.assertIn(b"#cloud-config", self.hypervisor.seeds["web1"] or b"")

    def test_a_guest_without_a_volume_gets_none_where_it_migrates_to(self) -> None:
        # Its machine has no drive for it.
        self.seed_boots()
        accept = AcceptInstance(guest=WEB1, address="192.0.2.1", running=STARTED)
        self.successResultOf(self.instances.accept(accept))
        self.assertIsNone(self.hypervisor.seeds["web1"])

    def test_running_guests_are_listed(self) -> None:
        self.start("web1")
        self.start("web2")
        states = {name: GuestState(name=name, memory=128, vcpus=1) for name in ("web1", "web2")}
        work = self.instances.running(ListGuests(hypervisors=("fake",)))
        self.assertEqual(self.successResultOf(work), states)

    def test_of_some_guests_only_those_that_run_are_listed(self) -> None:
        self.start("web1")
        self.start("web2")
        work = self.instances.running(ListGuests(hypervisors=("fake",), only=("web2", "gone")))
        self.assertEqual(set(self.successResultOf(work)), {"web2"})

    def test_an_unknown_hypervisor_is_refused_with_what_there_is(self) -> None:
        work = self.instances.running(ListGuests(hypervisors=("xen",)))
        failure = self.failureResultOf(work, Refused)
        self.assertEqual(str(failure.value), "this node has no hypervisor xen; available: fake")

    def test_a_polite_guest_stops_at_once(self) -> None:
        self.start()
        self.successResultOf(self.instances.stop(stop()))
        self.assertEqual(self.hypervisor.asked, [("start", "web1"), ("stop", "web1")])

    def test_a_stubborn_guest_is_asked_again_and_stopped_hard_in_the_end(self) -> None:
        self.hypervisor.stubborn.add("web1")
        self.start()
        stopping = Deferred.fromCoroutine(self.instances.stop(stop(timeout=12)))
        self.clock.pump([0.5] * 23)
        self.assertNoResult(stopping)
        self.clock.pump([0.5] * 3)
        self.successResultOf(stopping)
        asked = [("stop", "web1")] * 3 + [("stop hard", "web1")]
        self.assertEqual(self.hypervisor.asked[1:], asked)
        self.assertEqual(self.hypervisor.running(), {})

    def test_a_guest_that_stops_meanwhile_is_not_stopped_hard(self) -> None:
        self.hypervisor.stubborn.add("web1")
        self.start()
        stopping = Deferred.fromCoroutine(self.instances.stop(stop()))
        self.clock.advance(3)
        self.successResultOf(self.hypervisor.stop("web1", hard=True))
        self.clock.pump([0.5] * 4)
        self.successResultOf(stopping)

    def test_without_time_a_guest_is_stopped_hard(self) -> None:
        self.start()
        self.successResultOf(self.instances.stop(stop(timeout=0)))
        self.assertEqual(self.hypervisor.asked[1:], [("stop hard", "web1")])

    def test_a_guest_that_cannot_be_asked_is_stopped_hard(self) -> None:
        self.hypervisor.breaks_at = "stop"
        self.start()
        self.successResultOf(self.instances.stop(stop()))
        self.assertEqual(self.hypervisor.running(), {})

    def test_stopping_what_does_not_run_succeeds(self) -> None:
        self.successResultOf(self.instances.stop(stop("web9")))

    def test_operations_on_one_guest_follow_each_other(self) -> None:
        installing = Deferred.fromCoroutine(self.instances.install(InstallOS(guest=WEB1)))
        starting = Deferred.fromCoroutine(self.instances.start(StartInstanceCall(guest=WEB1)))
        self.start("web2")
        self.assertEqual(self.hypervisor.asked, [("start", "web2")])
        self.clock.advance(1)
        self.successResultOf(installing)
        self.successResultOf(starting)
        self.assertEqual(sorted(self.hypervisor.running()), ["web1", "web2"])

    def test_an_operation_that_is_cancelled_lets_the_next_begin(self) -> None:
        installing = Deferred.fromCoroutine(self.instances.install(InstallOS(guest=WEB1)))
        starting = Deferred.fromCoroutine(self.instances.start(StartInstanceCall(guest=WEB1)))
        installing.cancel()
        self.failureResultOf(installing)
        self.successResultOf(starting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_soft_reboot_is_done_by_the_hypervisor(self) -> None:
        self.start()
        call = RebootInstanceCall(guest=a_guest(), kind=RebootMethod.SOFT, timeout=60)
        self.successResultOf(self.instances.reboot(call))
        self.assertEqual(self.hypervisor.asked[1:], [("reboot", "web1")])

    def test_a_hard_reboot_is_a_stop_and_a_start(self) -> None:
        self.start()
        call = RebootInstanceCall(guest=a_guest(), kind=RebootMethod.HARD, timeout=60)
        self.successResultOf(self.instances.reboot(call))
        self.assertEqual(self.hypervisor.asked[1:], [("stop", "web1"), ("start", "web1")])

    def test_what_does_not_run_cannot_reboot(self) -> None:
        for kind in RebootMethod:
            call = RebootInstanceCall(guest=a_guest(), kind=kind, timeout=60)
            self.failureResultOf(self.instances.reboot(call), NotRunning)

    def test_a_full_reboot_is_the_business_of_the_master(self) -> None:
        self.start()
        call = RebootInstanceCall(guest=a_guest(), kind=RebootMethod.FULL, timeout=60)
        self.failureResultOf(self.instances.reboot(call), Refused)

    def test_scripts_do_not_touch_the_disks_of_a_running_guest(self) -> None:
        self.start()
        for work in (
            self.instances.install(InstallOS(guest=WEB1)),
            self.instances.rename(RenameOS(guest=WEB1, old_name="web0")),
        ):
            failure = self.failureResultOf(work, Refused)
            self.assertIn("shut it down first", str(failure.value))

    def test_rename_runs_the_script(self) -> None:
        renaming = self.instances.rename(RenameOS(guest=WEB1, old_name="web0"))
        outcome = Deferred.fromCoroutine(renaming)
        self.clock.advance(1)
        self.successResultOf(outcome)
        self.assertEqual(self.processes.ran[0].env["OLD_INSTANCE_NAME"], "web0")

    def test_a_console_is_described(self) -> None:
        self.start()
        message = "instance web1 has no console: the fake hypervisor only records its state"
        console = self.successResultOf(self.instances.console(DescribeConsole(guest=WEB1)))
        self.assertEqual(console, ConsoleInfo(instance="web1", kind="msg", message=message))

    def test_what_is_awaited_is_the_guest_as_it_runs(self) -> None:
        bigger = {"maxmem": 256, "minmem": 256, "vcpus": 2}
        configured = replace(WEB1, beparams=bigger, disks=(*WEB1.disks, a_disk("b")))
        accept = AcceptInstance(guest=configured, address="192.0.2.2", running=STARTED)
        self.successResultOf(self.instances.accept(accept))
        arrived = FinalizeMigrationDst(guest=configured, arrived=True)
        self.successResultOf(self.instances.finish_incoming(arrived))
        state = self.hypervisor.running()["web1"]
        self.assertEqual((state.memory, state.vcpus), (128, 1))
        asked = self.instances.running_config(DescribeRunning(guest=configured))
        self.assertEqual(self.successResultOf(asked), STARTED)

    def test_a_guest_moves_to_another_node(self) -> None:
        other = MemoryHypervisor()
        there = self.of(other, "node2")
        self.start()
        accept = AcceptInstance(guest=WEB1, address="192.0.2.2", running=STARTED)
        address = self.successResultOf(there.accept(accept))
        move = MigrateInstanceCall(guest=WEB1, destination=address, live=True)
        self.successResultOf(self.instances.migrate(move))
        status = self.successResultOf(self.instances.sending(MigrationStatus(guest=WEB1)))
        size = 128 << 20
        done = Migration(status="completed", transferred=size, total=size, downtime_ms=0)
        self.assertEqual(status, done)
        self.successResultOf(there.finish_incoming(FinalizeMigrationDst(guest=WEB1, arrived=True)))
        self.successResultOf(
            self.instances.finish_outgoing(FinalizeMigrationSrc(guest=WEB1, left=True))
        )
        self.assertEqual([list(self.hypervisor.running()), list(other.running())], [[], ["web1"]])

    def test_a_start_that_fails_leaves_the_turn_to_others(self) -> None:
        self.hypervisor.unstartable.add("web1")
        self.failureResultOf(self.instances.start(StartInstanceCall(guest=WEB1)), Failed)
        self.hypervisor.unstartable.clear()
        self.start()
