# SPDX-License-Identifier: BSD-2-Clause
"""A guest is sent to another node, and whatever breaks, its owner learns where it is."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.config.writer import CancelledAfterCommit, Change
from ganeti.errors import Failed, GanetiError, JobCanceled, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.model.guest import CheckScope
from ganeti.model.running import GANETI, running_config
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.moves.migration import MigrationSteps, send
from ganeti.rpc.call import Call
from ganeti.rpc.disks import (
    AttachDisk,
    ConnectDisk,
    DemoteDisk,
    DescribeDisks,
    DetachDisk,
    DiskStatus,
    PromoteDisk,
)
from ganeti.rpc.instances import (
    AcceptInstance,
    DescribeRunning,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    MigrateInstanceCall,
    Migration,
    MigrationStatus,
)
from ganeti.rpc.node import ValidateHypervisor
from ganeti.schema import records
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
)
from ganeti.testing.tools import MemoryTools

MIB = 1 << 20
SENT = Migration(status="completed", transferred=64 * MIB, total=64 * MIB, downtime_ms=30)
GONE = Unreachable("node1", "connection refused")

Answer = Migration | Exception


def a_state(*, mirrored: bool = False) -> ClusterState:
    kind = Template.DRBD if mirrored else Template.SHAREDFILE
    disk = a_disk("disk1", kind, nodes=("node1", "node2") if mirrored else ("node1",))
    web1 = an_instance("web1", disks=[disk])
    return a_cluster(nodes=("node1", "node2"), instances=[web1])


class InterruptedTools(MemoryTools):
    """Tools of a job that is cancelled while the journal keeps its first change."""

    async def change(self, change: Change) -> ClusterState:
        await super().change(change)
        raise CancelledAfterCommit


class SendTests(SynchronousTestCase):
    """web1 is migrated from node1 to node2."""

    def setUp(self) -> None:
        self.prepare(a_state())

    def prepare(self, state: ClusterState, tools: type[MemoryTools] = MemoryTools) -> None:
        self.memory = tools(state)
        self.memory.time.now = 0.0
        guest = make_guest(state, state.instance("web1"))
        self.running = running_config(guest, {}, "8.2")
        healthy = DiskStatus(path="/dev/drbd0", local="ok", degraded=False)
        self.memory.nodes.answers = {
            DescribeRunning: lambda *_: self.running,
            AcceptInstance: "192.0.2.2:4444",
            DescribeDisks: [healthy],
        }
        self.report(SENT)

    def report(self, *statuses: Answer) -> None:
        """Let the source report these, one after the other, and the last one for ever."""
        waiting = list(statuses)
        self.polls: list[float] = []

        def answer(*_: object) -> Answer:
            self.polls.append(self.memory.time.seconds())
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self.memory.nodes.answers[MigrationStatus] = answer

    def answer_received(self, *answers: object) -> None:
        """Let the target answer the resumption of the guest by these, one after the other."""
        waiting = list(answers)

        def answer(_: str, call: FinalizeMigrationDst) -> object:
            if not call.arrived:
                return self.log
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self.memory.nodes.answers[FinalizeMigrationDst] = answer

    log = ""

    def steps(self, *, live: bool = True, ignore_versions: bool = False) -> MigrationSteps:
        state = self.memory.state()
        subject = standing(state.instance("web1"), state)
        return MigrationSteps(subject, state.node("node2"), live, ignore_versions)

    def send(self, *, live: bool = True, ignore_versions: bool = False) -> int:
        steps = self.steps(live=live, ignore_versions=ignore_versions)
        downtime: int = self.successResultOf(send(steps, self.memory.tools))
        return downtime

    def failure(self, kind: type[BaseException] = Failed) -> str:
        failure = self.failureResultOf(send(self.steps(), self.memory.tools), kind)
        return str(failure.value)

    def finished(self) -> list[tuple[str, bool]]:
        """The nodes that were told how the migration ended, and whether the guest has moved."""
        return [
            (node, call.arrived if isinstance(call, FinalizeMigrationDst) else call.left)
            for node, call in self.memory.nodes.asked
            if isinstance(call, FinalizeMigrationDst | FinalizeMigrationSrc)
        ]

    def asked(self, *kinds: type) -> Sequence[tuple[str, str]]:
        return self.memory.nodes.calls(*kinds)

    @property
    def primary(self) -> str:
        state = self.memory.state()
        return state.nodes[state.instance("web1").primary_node].name

    @property
    def said(self) -> str:
        return "\n".join(self.memory.progress.said)


class MovedTests(SendTests):
    def test_leftovers_go_first_and_the_target_resumes_before_the_source_forgets(self) -> None:
        self.send()
        self.assertEqual(self.finished(), [("node2", False), ("node2", True), ("node1", True)])
        self.assertEqual(self.primary, "node2")
        self.assertIn("instance web1 is running on node2", self.said)

    def test_the_record_has_the_target_before_that_resumes_the_guest(self) -> None:
        seen = []

        def resume(_: str, call: FinalizeMigrationDst) -> None:
            seen.append((call.arrived, self.primary))

        self.memory.nodes.answers[FinalizeMigrationDst] = resume
        self.send()
        self.assertEqual(seen, [(False, "node1"), (True, "node2")])

    def test_the_guest_is_sent_to_the_address_that_the_target_listens_at(self) -> None:
        self.send(live=False)
        calls = {type(call): call for _, call in self.memory.nodes.asked}
        accept, migrate = calls[AcceptInstance], calls[MigrateInstanceCall]
        assert isinstance(accept, AcceptInstance)
        assert isinstance(migrate, MigrateInstanceCall)
        self.assertEqual((accept.address, accept.running), ("192.0.2.2", self.running))
        self.assertEqual((migrate.destination, migrate.live), ("192.0.2.2:4444", False))

    def test_in_another_group_its_cards_have_the_links_of_that_group(self) -> None:
        lan, near, far = a_network("lan"), {"link": "br0"}, {"link": "br1"}
        web1 = an_instance(
            "web1",
            disks=[a_disk("disk1", Template.SHAREDFILE, nodes=("node1",))],
            nics=[a_nic(network=lan.uuid, nicparams=near), a_nic("nic1", nicparams=near)],
        )
        other = a_group("other", networks={lan.uuid: far})
        self.prepare(
            a_cluster(
                nodes=["node1", a_node("node2", group="other")],
                groups=[a_group("default", networks={lan.uuid: near}), other],
                networks=[lan],
                instances=[web1],
            )
        )
        self.send()
        [accept] = [call for _, call in self.memory.nodes.asked if isinstance(call, AcceptInstance)]
        self.assertEqual([nic.link for nic in accept.running.nics], ["br1", "br0"])
        self.assertEqual([nic.link for nic in accept.guest.nics], ["br1", "br0"])
        recorded = self.memory.state().instance("web1").nics
        self.assertEqual([nic.nicparams["link"] for nic in recorded], ["br1", "br0"])
        self.assertNotIn("take effect at its next start", self.said)

    def test_the_downtime_counts_from_the_last_time_that_the_guest_ran(self) -> None:
        self.report(Migration(status="active"), Migration(status="active"), SENT)
        self.assertEqual(self.send(), 80)
        self.assertIn("downtime: at most 80 ms", self.said)

    def test_a_source_that_does_not_know_the_downtime_adds_none(self) -> None:
        self.report(Migration(status="active"), Migration(status="completed"))
        self.assertEqual(self.send(), 50)

    def test_a_paused_guest_is_down_from_the_beginning(self) -> None:
        self.report(Migration(status="active"), Migration(status="active"), SENT)
        self.assertEqual(self.send(live=False), 130)

    def test_the_source_is_polled_every_tenth_of_the_remaining_time(self) -> None:
        half = Migration(status="active", transferred=50 * MIB, total=100 * MIB)
        slow = Migration(status="active", transferred=1, total=100 * MIB)
        self.report(Migration(status="active"), slow, half, half, SENT)
        self.send()
        waits = [round(b - a, 3) for a, b in zip(self.polls, self.polls[1:], strict=False)]
        self.assertEqual(waits, [0.05, 1.0, 0.105, 0.115])

    def test_progress_is_reported_every_five_seconds(self) -> None:
        slow = Migration(status="active", transferred=MIB, total=100 * MIB)
        self.report(*[slow] * 13, SENT)
        self.send()
        told = [each for each in self.said.splitlines() if "1 of 100 MiB: 1.0% done" in each]
        self.assertEqual(len(told), 2)
        self.assertRegex(told[0], r"done, [0-9]+ s left$")
        self.assertIn("web1: sent 64 MiB in 11.5 s", self.said)

    def test_shared_disks_are_detached_on_the_source_only(self) -> None:
        self.send()
        self.assertEqual(self.asked(DetachDisk), [("node1", "DetachDisk")])

    def test_a_source_that_keeps_leftovers_does_not_undo_the_migration(self) -> None:
        self.memory.nodes.answers[FinalizeMigrationSrc] = Failed("it is busy")
        self.send()
        self.assertEqual(self.primary, "node2")
        self.assertIn(
            "cannot clean up: it is busy; later: gnt-instance migrate --cleanup web1", self.said
        )

    def test_changes_that_wait_for_the_next_start_are_named(self) -> None:
        self.running = records.replace(self.running, memory=64, vcpus=7)
        self.send()
        self.assertIn("take effect at its next start: be/maxmem, be/vcpus", self.said)


class RefusedTests(SendTests):
    def assert_untouched(self) -> None:
        self.assertEqual((self.finished(), self.primary), ([], "node1"))
        self.assertEqual(self.asked(AcceptInstance, MigrateInstanceCall), [])

    def test_a_guest_that_other_software_started_has_other_devices(self) -> None:
        self.running = records.replace(self.running, started_by=GANETI)
        self.assertIn("was started by Ganeti", self.failure(Refused))
        self.assert_untouched()

    def test_a_target_that_cannot_run_it_is_refused_with_the_ways_out(self) -> None:
        self.memory.nodes.answers[ValidateHypervisor] = Refused("node2: no machine type pc-9")
        message = self.failure(Refused)
        for words in ("no machine type pc-9", "modify -H NAME=VALUE web1", "failover web1"):
            self.assertIn(words, message)
        self.assert_untouched()

    def test_the_target_needs_the_version_that_runs_unless_versions_are_ignored(self) -> None:
        self.send()
        self.send(ignore_versions=True)
        checks = [c for _, c in self.memory.nodes.asked if isinstance(c, ValidateHypervisor)]
        self.assertEqual([check.minimum_version for check in checks], ["8.2", ""])
        self.assertEqual({check.scope for check in checks}, {CheckScope.RUNNING})

    def test_a_canceled_job_does_not_begin(self) -> None:
        self.memory.progress.cancel()
        self.failure(JobCanceled)
        self.assertEqual(self.memory.nodes.asked, [])


class BrokenTests(SendTests):
    """The guest is not sent completely."""

    def test_a_failed_transfer_is_resumed_on_the_source(self) -> None:
        self.report(Migration(status="failed", message="broken pipe"))
        self.log = "qemu: no space"
        self.answer_received(None)
        message = self.failure()
        self.assertEqual(
            message,
            "instance web1 was not migrated: migration from node1 failed: broken pipe; log of"
            " node2: qemu: no space; it is still running on node1",
        )
        self.assertEqual(self.finished(), [("node2", False), ("node2", False), ("node1", False)])
        self.assertEqual(self.primary, "node1")

    def test_a_status_without_a_message_is_the_reason(self) -> None:
        self.report(Migration(status="cancelled"))
        self.assertIn("migration from node1 failed: cancelled", self.failure())

    def test_a_source_may_be_silent_for_two_minutes(self) -> None:
        self.report(*[GONE] * 120, SENT)
        self.send()
        self.assertEqual(self.primary, "node2")

    def test_a_source_that_stays_silent_may_run_the_guest(self) -> None:
        self.report(GONE)
        self.memory.nodes.answers[FinalizeMigrationSrc] = GONE
        message = self.failure()
        self.assertEqual(self.memory.time.seconds(), 120)
        self.assertIn("it is unknown whether it is running on node1", message)
        self.assertIn("gnt-instance migrate --cleanup web1", message)

    def test_an_answer_of_the_source_begins_the_two_minutes_again(self) -> None:
        active = Migration(status="active", transferred=1, total=100 * MIB)
        self.report(*[GONE] * 100, active, *[GONE] * 100, SENT)
        self.send()

    def test_a_target_that_keeps_the_prepared_guest_is_reported(self) -> None:
        self.report(Migration(status="failed"))
        dropped = iter([None, Failed("it is busy")])
        self.memory.nodes.answers[FinalizeMigrationDst] = lambda *_: next(dropped)
        self.assertIn("it is still running on node1", self.failure())
        self.assertIn("cannot undo all steps: it is busy", self.said)

    def test_a_cancel_while_it_is_sent_leaves_it_on_the_source(self) -> None:
        def cancel(*_: object) -> Migration:
            self.memory.progress.canceled = lambda: True
            return Migration(status="active")

        self.memory.nodes.answers[MigrationStatus] = cancel
        self.failure(JobCanceled)
        self.assertIn("it is still running on node1", self.said)
        self.assertEqual(self.finished()[-1], ("node1", False))

    def test_a_cancel_before_it_is_sent_leaves_it_on_the_source(self) -> None:
        def cancel(*_: object) -> str:
            self.memory.progress.canceled = lambda: True
            return "192.0.2.2:4444"

        self.memory.nodes.answers[AcceptInstance] = cancel
        self.failure(JobCanceled)
        self.assertEqual(self.asked(MigrateInstanceCall), [])
        self.assertEqual(self.finished()[-1], ("node1", False))

    def test_a_record_that_cannot_be_kept_leaves_it_on_the_source(self) -> None:
        self.memory.journal.break_down()
        self.assertIn("it is still running on node1", self.failure())
        self.assertNotIn(("node2", True), self.finished())

    def test_a_daemon_that_ends_after_the_change_touches_the_guest_no_more(self) -> None:
        self.prepare(a_state(), InterruptedTools)
        self.failure(CancelledAfterCommit)
        self.assertEqual(self.finished(), [("node2", False)])
        self.assertEqual(self.primary, "node2")


class ArrivalTests(SendTests):
    """The guest is sent completely, and the target does not resume it."""

    def test_the_target_may_be_silent_for_two_minutes(self) -> None:
        self.answer_received(*[Unreachable("node2", "gone")] * 120, None)
        self.send()
        self.assertEqual(self.primary, "node2")

    def test_a_target_that_stays_silent_may_run_it_and_the_source_never_resumes_it(self) -> None:
        self.answer_received(Unreachable("node2", "gone"))
        message = self.failure()
        self.assertEqual(self.memory.time.seconds(), 120)
        self.assertIn("it is unknown whether it is running there", message)
        self.assertIn("it is paused on node1; when node2 answers: gnt-instance migrate", message)
        self.assertEqual(self.asked(FinalizeMigrationSrc), [])
        self.assertEqual(self.primary, "node2")

    def test_a_guest_that_did_not_arrive_goes_on_where_it_was(self) -> None:
        self.answer_received(Refused("there is no such guest"))
        self.log = "out of memory"
        self.assertEqual(
            self.failure(),
            "instance web1 did not arrive on node2: there is no such guest; log of node2: out of"
            " memory; it is still running on node1",
        )
        self.assertEqual(self.finished()[-2:], [("node2", False), ("node1", False)])
        self.assertEqual(self.primary, "node1")

    def test_it_is_not_resumed_on_the_source_unless_the_target_has_dropped_it(self) -> None:
        dropped = iter([None, Failed("it is busy")])

        def answer(_: str, call: FinalizeMigrationDst) -> object:
            return Refused("no such guest") if call.arrived else next(dropped)

        self.memory.nodes.answers[FinalizeMigrationDst] = answer
        message = self.failure()
        self.assertIn("cannot be resumed on node1: it is busy; use gnt-instance migrate", message)
        self.assertEqual(self.asked(FinalizeMigrationSrc), [])


class MirroredTests(SendTests):
    """Disks that have a copy on both nodes."""

    def setUp(self) -> None:
        self.prepare(a_state(mirrored=True))

    def disk_calls(self) -> Sequence[tuple[str, str]]:
        return self.asked(AttachDisk, ConnectDisk, PromoteDisk, DemoteDisk)

    def test_both_nodes_write_only_while_the_guest_is_sent(self) -> None:
        self.send()
        calls = [type(call) for _, call in self.memory.nodes.asked]
        promoted, sent = calls.index(PromoteDisk), calls.index(MigrateInstanceCall)
        self.assertLess(calls.index(DescribeDisks), promoted)
        self.assertLess(promoted, sent)
        self.assertEqual(
            self.disk_calls()[-3:],
            [("node1", "DemoteDisk"), ("node2", "ConnectDisk"), ("node1", "ConnectDisk")],
        )

    def test_disks_are_attached_before_their_copies_are_compared(self) -> None:
        self.send()
        calls = [type(call) for _, call in self.memory.nodes.asked]
        self.assertEqual(self.disk_calls()[:2], [("node2", "AttachDisk"), ("node1", "AttachDisk")])
        self.assertLess(calls.index(AttachDisk), calls.index(DescribeDisks))

    def test_copies_that_do_not_become_current_stop_it_before_the_target_writes(self) -> None:
        stale = DiskStatus(path="/dev/drbd0", local="unknown", degraded=True)
        self.memory.nodes.answers[DescribeDisks] = [stale]
        self.assertIn("have only one current copy", self.failure())
        self.assertEqual(self.asked(PromoteDisk, MigrateInstanceCall), [])

    def test_one_node_writes_after_a_failure(self) -> None:
        breakages: tuple[tuple[type[Call[object]], object], ...] = (
            (AcceptInstance, Failed("it is broken")),
            (FinalizeMigrationDst, self.refuse_arrival),
        )
        for call, answer in breakages:
            self.prepare(a_state(mirrored=True))
            self.memory.nodes.answers[call] = answer
            self.assertIn("it is still running on node1", self.failure(GanetiError))
            self.assertEqual(
                self.disk_calls()[-3:],
                [("node2", "DemoteDisk"), ("node1", "ConnectDisk"), ("node2", "ConnectDisk")],
            )

    def refuse_arrival(self, _: str, call: FinalizeMigrationDst) -> object:
        return Refused("no such guest") if call.arrived else None
