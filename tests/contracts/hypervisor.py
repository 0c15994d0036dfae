# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IHypervisor`` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    IHypervisor,
    MigrationPhase,
    MigrationProgress,
    NotRunning,
    Running,
)
from ganeti.model.guest import Guest, GuestNic, GuestState
from ganeti.model.running import apply_running_config, running_config
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest

T = TypeVar("T")

CARD = GuestNic(uuid="0123456789ab-cdef", mac="aa:00:10:00:00:01", mode="bridged", link="br0")


async def accepted(hypervisor: IHypervisor, guest: Guest, address: str) -> str:
    """Await a guest that runs as it is configured."""
    running = replace(running_config(guest, {}, ""), balloon=True)
    return await hypervisor.accept(guest, [], address, running)


class HypervisorContract(SynchronousTestCase):
    """A subclass says which one, on which node."""

    def setUp(self) -> None:
        self.clock = Clock()

    def hypervisor(self, node: str = "node1") -> IHypervisor:
        """The hypervisor of a node; asked again, as it is after a restart of its daemon."""
        raise NotImplementedError

    def a_guest(self, name: str = "web1") -> Guest:
        return a_guest(name)

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """What ``work`` answers, however long it takes."""
        return self.successResultOf(self.at_last(work))

    def fails(self, kind: type[Exception], work: Coroutine[Deferred[Any], Any, Any]) -> str:
        return str(self.failureResultOf(self.at_last(work), kind).value)

    def at_last(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        outcome = Deferred.fromCoroutine(work)
        for _ in range(10_000):
            if outcome.called:
                break
            calls = self.clock.getDelayedCalls()
            self.assertTrue(calls, "waits for nothing")
            self.clock.advance(min(call.getTime() for call in calls) - self.clock.seconds())
        return outcome

    def sent(self, hypervisor: IHypervisor, guest: Guest) -> MigrationProgress:
        """How sending ended."""
        for _ in range(1000):
            sending = self.done(hypervisor.sending(guest))
            if sending.phase is not MigrationPhase.ACTIVE:
                return sending
            self.clock.advance(0.1)
        raise AssertionError("it is sent for ever")

    def names(self, *hypervisors: IHypervisor) -> Sequence[list[str]]:
        return [sorted(hypervisor.running()) for hypervisor in hypervisors]

    def test_it_is_one(self) -> None:
        verifyObject(IHypervisor, self.hypervisor())

    def test_a_started_guest_runs(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(hypervisor.start(guest, []))
        expected = GuestState(name="web1", memory=guest.memory, vcpus=guest.vcpus)
        self.assertEqual(hypervisor.running(), {"web1": expected})

    def test_the_running_guests_have_counters(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.assertEqual(hypervisor.counters(), {})
        self.done(hypervisor.start(guest, []))
        counters = hypervisor.counters()["web1"]
        known = [each for each in dataclasses.astuple(counters) if each is not None]
        self.assertTrue(all(each >= 0 for each in known), counters)
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(hypervisor.counters(), {})

    def test_a_paused_guest_says_so(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), [], paused=True))
        self.assertTrue(hypervisor.running()["web1"].paused)

    def test_a_running_guest_is_not_started_again(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        message = self.fails(Running, hypervisor.start(self.a_guest(), []))
        self.assertIn("web1 is already running on this node", message)
        self.assertEqual(self.names(hypervisor), [["web1"]])

    def test_a_hard_stop_ends_a_guest_at_once(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest("web1"), []))
        self.done(hypervisor.start(self.a_guest("web2"), []))
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.names(hypervisor), [["web2"]])

    def test_all_that_is_here_of_guests_is_killed_whether_they_run_or_are_on_their_way(
        self,
    ) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        sent, awaited = self.a_guest("web1"), self.a_guest("web2")
        for guest in (sent, self.a_guest("web3")):
            self.done(here.start(guest, []))
        self.done(accepted(here, awaited, "192.0.2.1"))
        self.done(here.migrate(sent, self.done(accepted(there, sent, "192.0.2.2")), live=True))
        self.assertEqual(self.sent(here, sent).phase, MigrationPhase.COMPLETED)
        self.assertEqual(here.present(), {"web1", "web2", "web3"})
        self.done(here.kill(["web1", "web2", "other"]))
        self.assertEqual((here.present(), there.present()), ({"web3"}, {"web1"}))
        self.assertEqual(self.hypervisor("node1").present(), {"web3"})

    def test_a_polite_stop_ends_a_guest_in_the_end(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.stop("web1", hard=False))
        self.clock.pump([1] * 10)
        self.assertEqual(self.names(hypervisor), [[]])

    def test_a_stopped_guest_starts_again(self) -> None:
        hypervisor = self.hypervisor()
        for _ in range(2):
            self.done(hypervisor.start(self.a_guest(), []))
            self.assertEqual(self.names(hypervisor), [["web1"]])
            self.done(hypervisor.stop("web1", hard=True))

    def test_a_rebooted_guest_runs(self) -> None:
        hypervisor = self.hypervisor()
        self.done(hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.reboot(self.a_guest()))
        self.assertEqual(self.names(hypervisor), [["web1"]])

    def test_what_needs_a_guest_fails_without_one(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        for work in (
            hypervisor.stop("web1", hard=True),
            hypervisor.stop("web1", hard=False),
            hypervisor.reboot(guest),
            hypervisor.console(guest),
            hypervisor.console_sockets(guest),
            hypervisor.change_media(guest, force=False),
            hypervisor.find_hotplug_problem(guest),
            hypervisor.plug(guest, CARD),
            hypervisor.unplug(guest, CARD.uuid),
            hypervisor.set_memory(guest, 64),
            hypervisor.screenshot(guest),
            hypervisor.running_config(guest),
            hypervisor.migrate(guest, "192.0.2.2:8102", live=True),
            hypervisor.sending(guest),
            hypervisor.finish_incoming(guest, arrived=True),
            hypervisor.finish_outgoing(guest, left=False),
        ):
            self.assertIn("web1 is not running on this node", self.fails(NotRunning, work))

    def test_guests_are_found_again_by_the_next_daemon(self) -> None:
        self.done(self.hypervisor().start(self.a_guest(), []))
        self.assertEqual(self.names(self.hypervisor()), [["web1"]])
        self.done(self.hypervisor().stop("web1", hard=True))
        self.assertEqual(self.names(self.hypervisor()), [[]])

    def test_a_migrated_guest_runs_there_and_never_twice(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.a_guest()
        self.done(here.start(guest, []))
        address = self.done(accepted(there, guest, "192.0.2.2"))
        self.assertEqual(self.names(here, there), [["web1"], []])
        self.done(here.migrate(guest, address, live=True))
        self.assertEqual(self.sent(here, guest).phase, MigrationPhase.COMPLETED)
        self.assertEqual(self.names(here, there), [[], []])
        self.done(there.finish_incoming(guest, arrived=True))
        self.done(here.finish_outgoing(guest, left=True))
        self.assertEqual(self.names(here, there), [[], ["web1"]])

    def test_a_migration_is_finished_by_the_next_daemons(self) -> None:
        guest = self.a_guest()
        self.done(self.hypervisor("node1").start(guest, []))
        address = self.done(accepted(self.hypervisor("node2"), guest, "192.0.2.2"))
        self.done(self.hypervisor("node1").migrate(guest, address, live=False))
        self.assertEqual(self.sent(self.hypervisor("node1"), guest).phase, MigrationPhase.COMPLETED)
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        self.assertEqual(self.names(here, there), [[], []])
        for _ in range(2):
            self.done(there.finish_incoming(guest, arrived=True))
            self.done(here.finish_outgoing(guest, left=True))
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        self.assertEqual(self.names(here, there), [[], ["web1"]])

    def test_a_migration_that_is_called_off_leaves_the_guest_where_it_was(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.a_guest()
        self.done(here.start(guest, []))
        address = self.done(accepted(there, guest, "192.0.2.2"))
        self.done(here.migrate(guest, address, live=True))
        for _ in range(2):
            self.done(there.finish_incoming(guest, arrived=False))
            self.done(here.finish_outgoing(guest, left=False))
        self.assertEqual(self.names(here, there), [["web1"], []])
        self.done(accepted(there, guest, "192.0.2.2"))

    def test_a_guest_keeps_what_it_was_started_with_wherever_it_runs(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.a_guest()
        self.done(here.start(guest, []))
        bigger = {"maxmem": 256, "minmem": 256, "vcpus": 2}
        configured = replace(guest, beparams=bigger)
        started = self.done(self.hypervisor("node1").running_config(configured))
        self.assertEqual((started.memory, started.vcpus), (guest.memory, guest.vcpus))
        runs = apply_running_config(configured, started)
        address = self.done(there.accept(runs, [], "192.0.2.2", started))
        self.done(here.migrate(configured, address, live=True))
        self.assertEqual(self.sent(here, configured).phase, MigrationPhase.COMPLETED)
        self.done(there.finish_incoming(configured, arrived=True))
        self.assertEqual(self.done(there.running_config(configured)), started)
        self.assertEqual(there.running()["web1"].memory, guest.memory)

    def changeable_guest(self) -> Guest:
        """A guest that can get and lose devices while it runs."""
        return self.a_guest()

    def devices(self, hypervisor: IHypervisor, guest: Guest) -> list[str]:
        """The disks and network cards that a guest runs with."""
        running = self.done(hypervisor.running_config(guest))
        return [disk.uuid for disk in running.disks] + [nic.uuid for nic in running.nics]

    def test_a_guest_is_known_to_have_a_volume_for_its_first_boot(self) -> None:
        hypervisor, seeded, other = self.hypervisor(), self.a_guest("web1"), self.a_guest("web2")
        self.done(hypervisor.start(seeded, [], seed=b"iso"))
        self.done(hypervisor.start(other, []))
        self.assertTrue(self.done(self.hypervisor().running_config(seeded)).seed)
        self.assertFalse(self.done(self.hypervisor().running_config(other)).seed)

    def test_a_guest_gets_and_loses_devices_while_it_runs(self) -> None:
        hypervisor, guest = self.hypervisor(), self.changeable_guest()
        first, second = (AttachedDisk(a_disk(name), f"/f/{name}") for name in ("a", "b"))
        self.done(hypervisor.start(replace(guest, disks=(first.disk,)), [first]))
        self.assertEqual(self.done(hypervisor.find_hotplug_problem(guest)), "")
        for _ in range(2):
            self.done(hypervisor.plug(guest, second))
            self.done(hypervisor.plug(guest, CARD))
        had = [first.disk.uuid, second.disk.uuid, CARD.uuid]
        self.assertEqual(self.devices(self.hypervisor(), guest), had)
        for _ in range(2):
            self.done(hypervisor.unplug(guest, first.disk.uuid))
            self.done(hypervisor.unplug(guest, CARD.uuid))
        self.assertEqual(self.devices(self.hypervisor(), guest), [second.disk.uuid])
        self.assertEqual(self.names(hypervisor), [["web1"]])

    def test_a_network_card_changes_while_the_guest_runs(self) -> None:
        hypervisor, guest = self.hypervisor(), self.changeable_guest()
        self.done(hypervisor.start(replace(guest, nics=(CARD,)), []))
        for changed in (replace(CARD, link="br1"), replace(CARD, mac="aa:00:10:00:00:02")):
            self.done(hypervisor.plug(guest, changed))
            self.assertEqual(self.done(hypervisor.running_config(guest)).nics, (changed,))

    def test_changed_devices_are_part_of_what_is_migrated(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        disks = [AttachedDisk(a_disk(name), f"/f/{name}") for name in ("a", "b", "c")]
        guest = replace(self.changeable_guest(), disks=(disks[0].disk, disks[1].disk))
        self.done(here.start(guest, disks[:2]))
        self.done(here.plug(guest, CARD))
        self.done(here.unplug(guest, disks[0].disk.uuid))
        self.done(here.plug(guest, disks[2]))
        configured = replace(guest, disks=(disks[1].disk, disks[2].disk), nics=(CARD,))
        running = self.done(here.running_config(configured))
        runs = apply_running_config(configured, running)
        address = self.done(there.accept(runs, disks[1:], "192.0.2.2", running))
        self.done(here.migrate(configured, address, live=True))
        self.assertEqual(self.sent(here, configured).phase, MigrationPhase.COMPLETED)
        self.done(there.finish_incoming(configured, arrived=True))
        self.assertEqual(self.done(there.running_config(configured)), running)
        self.done(there.unplug(configured, disks[1].disk.uuid))

    def test_the_memory_of_a_guest_changes_while_it_runs(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(hypervisor.start(guest, []))
        for memory in (64, 64, guest.memory):
            self.done(hypervisor.set_memory(guest, memory))
            self.assertEqual(self.hypervisor().running()["web1"].memory, memory)
            running = self.done(hypervisor.running_config(guest))
            self.assertEqual((running.memory, running.used_memory), (guest.memory, memory))

    def test_a_guest_gets_no_more_memory_than_it_was_started_with(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(hypervisor.start(guest, []))
        bigger = replace(guest, beparams={**guest.beparams, "maxmem": 256})
        said = self.fails(Refused, hypervisor.set_memory(bigger, 129))
        self.assertIn("started with 128 MiB of memory, and cannot get 129 MiB", said)
        self.assertIn("gnt-instance modify -B maxmem=129 web1", said)
        self.assertEqual(hypervisor.running()["web1"].memory, 128)

    def test_a_guest_moves_with_the_memory_that_it_has(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.a_guest()
        self.done(here.start(guest, []))
        self.done(here.set_memory(guest, 64))
        running = self.done(here.running_config(guest))
        runs = apply_running_config(guest, running)
        address = self.done(there.accept(runs, [], "192.0.2.2", running))
        self.done(here.migrate(guest, address, live=True))
        self.assertEqual(self.sent(here, guest).phase, MigrationPhase.COMPLETED)
        self.done(there.finish_incoming(guest, arrived=True))
        self.assertEqual(self.hypervisor("node2").running()["web1"].memory, 64)
        self.done(there.set_memory(guest, guest.memory))
        self.assertEqual(there.running()["web1"].memory, guest.memory)

    def test_what_firmware_has_kept_is_not_changed_under_a_guest(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.assertEqual(self.done(hypervisor.read_firmware_variables(guest)), b"")
        self.done(hypervisor.start(guest, []))
        self.fails(Running, hypervisor.store_firmware_variables(guest, b"of another node"))
        self.done(hypervisor.stop("web1", hard=True))
        for _ in range(2):
            self.done(hypervisor.store_firmware_variables(guest, b""))
        self.assertEqual(self.done(hypervisor.read_firmware_variables(guest)), b"")

    def test_an_awaited_guest_is_not_started_and_can_be_ended(self) -> None:
        hypervisor, guest = self.hypervisor(), self.a_guest()
        self.done(accepted(hypervisor, guest, "192.0.2.1"))
        self.fails(Running, hypervisor.start(guest, []))
        self.fails(Running, accepted(hypervisor, guest, "192.0.2.1"))
        self.fails(NotRunning, hypervisor.stop("web1", hard=False))
        self.done(hypervisor.stop("web1", hard=True))
        self.done(hypervisor.start(guest, []))
