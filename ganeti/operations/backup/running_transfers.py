# SPDX-License-Identifier: BSD-2-Clause
"""The running transfers of a job: start, progress, completion and cleanup."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.errors import Code, Failed, GanetiError, Unreachable
from ganeti.model.node import Node
from ganeti.model.work_progress import WorkProgress
from ganeti.operations.operation import Tools
from ganeti.rpc import transfers as calls
from ganeti.rpc.backup_calls import BackupData, BackupSink, BackupSource
from ganeti.rpc.transfers import TransferStatus

_POLL_INTERVALS = (0.05, 1.0)
"""Seconds between two polls, at first and at most."""
_REPORT_INTERVAL = 10.0
"""Seconds between two progress messages of a transfer."""
_UNREACHABLE_TIMEOUT = 15.0
"""Seconds for which a node may be unreachable; a restarted daemon does not know its transfers."""
_FAILURE_DELAY = 0.5
"""Seconds after which both ends of a failed transfer have noticed the failure."""
_MIB = 1 << 20

CONNECT_TIMEOUT = 60.0
"""Seconds for a connection between two nodes of this cluster."""


@dataclass(frozen=True)
class NodeTransfer:
    """A transfer on a node; ``what`` describes it in messages."""

    node: Node
    name: str
    what: str


class RunningTransfers:
    """A context manager for the transfers of a job; all are removed at its end."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._started: list[NodeTransfer] = []

    async def __aenter__(self) -> RunningTransfers:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:
            return  # the coroutine is being garbage collected, and can no longer await
        for each in self._started:
            try:
                await self._tools.nodes.ask(each.node, calls.RemoveTransfer(name=each.name))
            except GanetiError as e:
                # The node stops it after some minutes without a query.
                self._tools.progress.log_message(f"{each.what}: cannot clean up: {e}")

    async def receive(
        self,
        node: Node,
        what: str,
        source: calls.PeerSource,
        sink: calls.DiskData | calls.ExportData | calls.ImageData | BackupSink,
    ) -> int:
        """Start to receive a transfer; return the port."""
        started = await self._tools.nodes.ask(node, calls.StartImport(source=source, sink=sink))
        self._started.append(NodeTransfer(node, started.name, what))
        if started.port is None:
            raise Failed(f"node {node.name} returned no port for {what}", Code.INTERNAL)
        return started.port

    async def send(
        self,
        node: Node,
        what: str,
        source: calls.DiskData | calls.ExportData | calls.ImageData | BackupSource | BackupData,
        sink: calls.PeerSink | calls.ExportData | BackupSink,
    ) -> None:
        """Start to send."""
        started = await self._tools.nodes.ask(node, calls.StartExport(source=source, sink=sink))
        self._started.append(NodeTransfer(node, started.name, what))

    async def restore(
        self, node: Node, what: str, source: calls.ExportData | BackupData, sink: calls.DiskData
    ) -> None:
        """Start to restore a disk from a dump or a backup on the same node."""
        started = await self._tools.nodes.ask(node, calls.StartImport(source=source, sink=sink))
        self._started.append(NodeTransfer(node, started.name, what))

    async def fetch(
        self,
        node: Node,
        what: str,
        source: calls.UrlSource | calls.UploadData,
        sink: calls.ImageData,
    ) -> None:
        """Start to make an image of what a node downloads, or was uploaded to it."""
        started = await self._tools.nodes.ask(node, calls.StartImport(source=source, sink=sink))
        self._started.append(NodeTransfer(node, started.name, what))

    async def between(
        self,
        sender: Node,
        receiver: Node,
        what: str,
        source: calls.DiskData | calls.ExportData | calls.ImageData | BackupSource | BackupData,
        sink: calls.DiskData | calls.ExportData | calls.ImageData | BackupSink,
    ) -> None:
        """Start a transfer between two nodes of this cluster."""
        magic = self._tools.ids.secret()
        awaited = calls.PeerSource(
            address=receiver.secondary_ip, magic=magic, patience=CONNECT_TIMEOUT
        )
        port = await self.receive(receiver, f"{what} to {receiver.name}", awaited, sink)
        # All attempts together take as long as the receiver waits.
        peer = calls.PeerSink(
            host=receiver.secondary_ip,
            port=port,
            magic=magic,
            patience=CONNECT_TIMEOUT / 3,
            tries=3,
            name=receiver.name,
        )
        await self.send(sender, f"{what} from {sender.name}", source, peer)

    async def wait_for_all(self) -> None:
        """Wait until all transfers are complete.

        :raises Failed: a transfer failed; with the known reasons of both ends.
        """
        waiting = [_TransferMonitor(each) for each in self._started]
        nap = _POLL_INTERVALS[0]
        while waiting:
            waiting = [watch for watch in waiting if not await watch.poll(self._tools)]
            if any(watch.problem for watch in waiting):
                await self._raise_problems(waiting)
            if waiting:
                await self._tools.time.sleep(nap)
                nap = min(2 * nap, _POLL_INTERVALS[1])

    async def _raise_problems(self, failing: list[_TransferMonitor]) -> None:
        """Raise the problems of both ends, after a delay, as either end may know the reason."""
        await self._tools.time.sleep(_FAILURE_DELAY)
        for watch in failing:
            if not watch.problem:
                await watch.poll(self._tools)
        problems = [f"{watch.of.what}: {watch.problem}" for watch in failing if watch.problem]
        raise Failed("; ".join(problems), Code.ENVIRONMENT)


class _TransferMonitor:
    """A monitor of one transfer."""

    def __init__(self, of: NodeTransfer) -> None:
        self.of = of
        self.problem = ""
        self._connected = False
        self._said = 0.0
        self._silent_since: float | None = None

    async def poll(self, tools: Tools) -> bool:
        """Query the status; return whether the transfer is complete.

        A failure sets ``problem``.
        """
        now = tools.time.seconds()
        try:
            asked = tools.nodes.ask(self.of.node, calls.DescribeTransfers(names=(self.of.name,)))
            [status] = await tools.progress.interruptible(asked)
        except Unreachable as e:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since > _UNREACHABLE_TIMEOUT:
                self.problem = str(e)
            return False
        self._silent_since = None
        if status is None:
            self.problem = (
                f"node {self.of.node.name} does not know the transfer;"
                " its node daemon was restarted"
            )
            return False
        if status.problem is not None:
            self.problem = status.problem
            return False
        self._report(status, now, tools)
        return status.over

    def _report(self, status: TransferStatus, now: float, tools: Tools) -> None:
        if status.over:
            moved, rate = status.moved / _MIB, status.rate / _MIB
            tools.progress.log_message(f"{self.of.what}: done, {moved:.1f} MiB at {rate:.1f} MiB/s")
        elif status.connected and not self._connected:
            self._connected, self._said = True, now
            tools.progress.log_message(f"{self.of.what}: transfer started")
        elif self._connected and now - self._said >= _REPORT_INTERVAL:
            self._said = now
            tools.progress.log_message(_format_progress(self.of.what, status))


def _format_progress(what: str, status: TransferStatus) -> str:
    moved = f"{what}: {status.moved / _MIB:.1f} MiB at {status.rate / _MIB:.1f} MiB/s"
    if not status.expected:
        return moved
    return str(WorkProgress(moved, 100 * status.moved / status.expected, status.eta))
