# SPDX-License-Identifier: BSD-2-Clause
"""The transfers of a job: how they start, what is said of them, and that all are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, JobCanceled, Unreachable
from ganeti.operations.backup.running_transfers import CONNECT_TIMEOUT, RunningTransfers
from ganeti.rpc import transfers as calls
from ganeti.rpc.call import Call
from ganeti.rpc.transfers import StartedTransfer, TransferStatus
from ganeti.testing.builders import a_cluster, a_disk, a_guest, a_node
from ganeti.testing.tools import MemoryTools

ONE = a_node("node1")
TWO = a_node("node2", secondary_ip="198.51.100.2")
DISK = calls.DiskData(guest=a_guest(disks=[a_disk()]), index=0, raw=False)
DUMP = calls.ExportData(path="web1.new", dump="disk0")
MIB = 1 << 20


def a_status(**over: Any) -> TransferStatus:
    return TransferStatus(**{"connected": True, "moved": 0, "rate": 0, **over})


WAITING = a_status(connected=False)
DONE = a_status(over=True, moved=3 * MIB, rate=1.5 * MIB)


class TransferTests(SynchronousTestCase):
    """Nodes whose transfers have the statuses in ``statuses``, the last one for ever.

    An error stands for a node that fails to answer, and None for a transfer that it does not know.
    """

    def setUp(self) -> None:
        self.statuses: dict[str, list[TransferStatus | Failed | None]] = {}
        self.polls: list[float] = []
        self.port: int | None = 20001
        started: dict[type[Call[object]], object] = {
            calls.StartImport: lambda node, call: StartedTransfer(
                name=f"in-{node}", port=self.port
            ),
            calls.StartExport: lambda node, call: StartedTransfer(name=f"out-{node}"),
            calls.DescribeTransfers: self.describe,
        }
        self.memory = MemoryTools(a_cluster(nodes=[ONE, TWO]), started)

    def describe(self, node: str, call: calls.DescribeTransfers) -> object:
        [name] = call.names
        self.polls.append(self.memory.time.now - 1_700_000_000)
        given = self.statuses[name]
        status = given.pop(0) if len(given) > 1 else given[0]
        return status if isinstance(status, Failed) else [status]

    async def send(self, *, between: bool = False) -> None:
        async with RunningTransfers(self.memory.tools) as transfers:
            if between:
                await transfers.between(ONE, TWO, "disk/0", DISK, DUMP)
            else:
                await transfers.send(ONE, "disk/0", DISK, DUMP)
            await transfers.wait_for_all()

    def done(self, *statuses: TransferStatus | Failed | None) -> Sequence[str]:
        """Send with these statuses, and return the job's log."""
        self.statuses = {"out-node1": list(statuses)}
        self.successResultOf(self.send())
        return self.memory.progress.said

    def failure(self, *statuses: TransferStatus | Failed | None, between: bool = False) -> Failed:
        self.statuses.setdefault("out-node1", list(statuses))
        error = self.failureResultOf(self.send(between=between), Failed).value
        assert isinstance(error, Failed)
        return error

    def removed(self) -> list[str]:
        return [
            each.name
            for _, each in self.memory.nodes.asked
            if isinstance(each, calls.RemoveTransfer)
        ]


class StartTests(TransferTests):
    def test_a_transfer_between_nodes_begins_with_the_receiver(self) -> None:
        self.statuses = {"in-node2": [DONE], "out-node1": [DONE]}
        self.successResultOf(self.send(between=True))
        (receiver, listening), (sender, sending) = self.memory.nodes.asked[:2]
        assert isinstance(listening, calls.StartImport)
        assert isinstance(listening.source, calls.PeerSource)
        magic = listening.source.magic
        source = calls.PeerSource(address="198.51.100.2", magic=magic, patience=CONNECT_TIMEOUT)
        self.assertEqual(listening, calls.StartImport(source=source, sink=DUMP))
        peer = calls.PeerSink(
            host="198.51.100.2", port=20001, magic=magic, patience=20.0, tries=3, name="node2"
        )
        self.assertEqual(sending, calls.StartExport(source=DISK, sink=peer))
        self.assertEqual((receiver, sender, len(magic)), ("node2", "node1", 40))

    def test_both_ends_are_named_in_the_log_and_removed(self) -> None:
        self.statuses = {"in-node2": [DONE], "out-node1": [DONE]}
        self.successResultOf(self.send(between=True))
        words = "done, 3.0 MiB at 1.5 MiB/s"
        expected = [f"disk/0 to node2: {words}", f"disk/0 from node1: {words}"]
        self.assertEqual(self.memory.progress.said, expected)
        self.assertEqual(self.removed(), ["in-node2", "out-node1"])

    def test_a_receiver_without_a_port_is_a_failure_and_is_removed(self) -> None:
        self.port = None
        error = self.failure(DONE, between=True)
        self.assertEqual(str(error), "node node2 returned no port for disk/0 to node2")
        self.assertEqual((error.code, self.removed()), (Code.INTERNAL, ["in-node2"]))

    def test_a_sender_that_does_not_start_ends_the_receiver(self) -> None:
        self.memory.nodes.answers[calls.StartExport] = Failed("no such disk")
        self.assertEqual(str(self.failure(DONE, between=True)), "no such disk")
        self.assertEqual(self.removed(), ["in-node2"])

    def test_a_dump_on_the_same_node_is_restored_without_a_port(self) -> None:
        async def restore() -> None:
            async with RunningTransfers(self.memory.tools) as transfers:
                await transfers.restore(TWO, "disk/0", DUMP, DISK)
                await transfers.wait_for_all()

        self.port, self.statuses = None, {"in-node2": [DONE]}
        self.successResultOf(restore())
        first = ("node2", calls.StartImport(source=DUMP, sink=DISK))
        self.assertEqual((self.memory.nodes.asked[0], self.removed()), (first, ["in-node2"]))


class ProgressTests(TransferTests):
    def test_polls_become_rarer_up_to_one_each_second(self) -> None:
        self.done(*[a_status()] * 8, DONE)
        waits = [round(b - a, 2) for a, b in zip(self.polls, self.polls[1:], strict=False)]
        self.assertEqual(waits, [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])

    def test_the_begin_is_told_once_and_the_progress_every_ten_seconds(self) -> None:
        status = a_status(moved=50 * MIB, rate=5 * MIB, expected=200 * MIB, eta=30.4)
        said = self.done(WAITING, *[status] * 26, DONE)
        progress = "disk/0: 50.0 MiB at 5.0 MiB/s: 25.0% done, 30 s left"
        expected = ["disk/0: transfer started", progress, progress]
        self.assertEqual(said, [*expected, "disk/0: done, 3.0 MiB at 1.5 MiB/s"])

    def test_what_is_not_known_is_left_out_and_nothing_is_more_than_complete(self) -> None:
        for fields, words in (
            ({}, "disk/0: 2.0 MiB at 0.0 MiB/s"),
            ({"expected": 0, "eta": 0.0}, "disk/0: 2.0 MiB at 0.0 MiB/s"),
            ({"expected": MIB}, "disk/0: 2.0 MiB at 0.0 MiB/s: 100.0% done"),
        ):
            self.setUp()
            said = self.done(*[a_status(moved=2 * MIB, **fields)] * 16, DONE)
            self.assertEqual(said[1], words)

    def test_a_transfer_that_ends_at_once_has_no_begin(self) -> None:
        self.assertEqual(self.done(DONE), ["disk/0: done, 3.0 MiB at 1.5 MiB/s"])


class FailureTests(TransferTests):
    def test_both_ends_have_half_a_second_to_find_the_reason(self) -> None:
        broken = a_status(problem="connection lost")
        self.statuses = {
            "out-node1": [broken],
            "in-node2": [WAITING, a_status(problem="disk full")],
        }
        error = self.failure(between=True)
        self.assertEqual(
            str(error), "disk/0 to node2: disk full; disk/0 from node1: connection lost"
        )
        self.assertEqual((error.code, self.polls), (Code.ENVIRONMENT, [0.0, 0.0, 0.5]))
        self.assertEqual(self.removed(), ["in-node2", "out-node1"])

    def test_an_end_that_finds_no_problem_is_not_mentioned(self) -> None:
        self.statuses = {"out-node1": [a_status(problem="no route")], "in-node2": [WAITING]}
        self.assertEqual(str(self.failure(between=True)), "disk/0 from node1: no route")

    def test_a_daemon_that_was_restarted_does_not_know_its_transfers(self) -> None:
        words = "disk/0: node node1 does not know the transfer; its node daemon was restarted"
        self.assertEqual(str(self.failure(a_status(), None)), words)

    def test_a_node_may_be_silent_for_some_seconds_at_a_time(self) -> None:
        silent = Unreachable("node1", "timed out")
        self.done(*[silent] * 19, a_status(), *[silent] * 15, DONE)
        self.assertGreater(self.polls[-1], 30.0)

    def test_a_node_that_stays_silent_fails_the_transfer(self) -> None:
        error = self.failure(Unreachable("node1", "timed out"))
        self.assertIn("node node1 is unreachable: timed out", str(error))
        self.assertTrue(15.0 < self.polls[-1] <= 16.0, self.polls)

    def test_another_failure_of_the_node_is_none_that_passes(self) -> None:
        error = self.failure(Failed("internal error"))
        self.assertEqual((str(error), len(self.polls)), ("internal error", 1))

    def test_a_canceled_job_waits_no_longer(self) -> None:
        self.memory.progress.cancel()
        self.statuses = {"out-node1": [a_status()]}
        self.failureResultOf(self.send(), JobCanceled)
        self.assertEqual(self.removed(), ["out-node1"])

    def test_what_cannot_be_removed_is_told_and_keeps_nothing_else(self) -> None:
        self.statuses = {"in-node2": [DONE], "out-node1": [DONE]}
        self.memory.nodes.answers[calls.RemoveTransfer] = Failed("read-only file system")
        self.successResultOf(self.send(between=True))
        self.assertEqual(self.removed(), ["in-node2", "out-node1"])
        words = "disk/0 from node1: cannot clean up: read-only file system"
        self.assertEqual(self.memory.progress.said[-1], words)
