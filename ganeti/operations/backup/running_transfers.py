# SPDX-License-Identifier: BSD-2-Clause
"""Transfers that a job has begun: waiting for them, telling of them, and ending them all."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.errors import Code, Failed, GanetiError, Unreachable
from ganeti.model.node import Node
from ganeti.operations.operation import Tools
from ganeti.rpc import transfers as calls
from ganeti.rpc.transfers import TransferStatus

_LOOKS = (0.05, 1.0)
"""Seconds between two looks, at first and later."""
_SAY = 10.0
"""Seconds between two lines about a transfer."""
_TIMEOUT = 15.0
"""Seconds for which a node may give no answer; a daemon that is started again knows nothing."""
_LATER = 0.5
"""Seconds after which both ends of a transfer that failed know of it."""
_MIB = 1 << 20

CONNECT_TIMEOUT = 60.0
"""Seconds until a node of this cluster must have connected to another."""


@dataclass(frozen=True)
class UnderWay:
    """A transfer on a node; ``what`` says of what, and which way."""

    node: Node
    name: str
    what: str


class RunningTransfers:
    """The transfers of a job. Leaving the block ends all of them, and leaves none behind."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._begun: list[UnderWay] = []

    async def __aenter__(self) -> RunningTransfers:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:
            return  # thrown away with its process: nothing can be waited for any more
        for each in self._begun:
            try:
                await self._tools.nodes.ask(each.node, calls.ForgetTransfer(name=each.name))
            except GanetiError as e:
                # It ends by itself when nobody asks for it any more.
                self._tools.progress.say(f"{each.what}: could not be cleaned up: {e}")

    async def receive(
        self, node: Node, what: str, source: calls.FromPeer, sink: calls.OfDisk | calls.OfExport
    ) -> int:
        """Begin to await a transfer; answers the port."""
        started = await self._tools.nodes.ask(node, calls.StartImport(source=source, sink=sink))
        self._begun.append(UnderWay(node, started.name, what))
        if started.port is None:
            raise Failed(f"{node.name} awaits {what}, but does not say where", Code.INTERNAL)
        return started.port

    async def send(
        self,
        node: Node,
        what: str,
        source: calls.OfDisk | calls.OfExport,
        sink: calls.ToPeer | calls.OfExport,
    ) -> None:
        """Begin to send."""
        started = await self._tools.nodes.ask(node, calls.StartExport(source=source, sink=sink))
        self._begun.append(UnderWay(node, started.name, what))

    async def restore(
        self, node: Node, what: str, source: calls.OfExport, sink: calls.OfDisk
    ) -> None:
        """Begin to fill a disk from a dump on the same node."""
        started = await self._tools.nodes.ask(node, calls.StartImport(source=source, sink=sink))
        self._begun.append(UnderWay(node, started.name, what))

    async def between(
        self,
        sender: Node,
        receiver: Node,
        what: str,
        source: calls.OfDisk | calls.OfExport,
        sink: calls.OfDisk | calls.OfExport,
    ) -> None:
        """Begin a transfer between two nodes of this cluster."""
        magic = self._tools.ids.secret()
        awaited = calls.FromPeer(
            address=receiver.secondary_ip, magic=magic, patience=CONNECT_TIMEOUT
        )
        port = await self.receive(receiver, f"{what} to {receiver.name}", awaited, sink)
        peer = calls.ToPeer(
            host=receiver.secondary_ip,
            port=port,
            magic=magic,
            patience=CONNECT_TIMEOUT / 3,
            tries=3,
            name=receiver.name,
        )
        await self.send(sender, f"{what} from {sender.name}", source, peer)

    async def arrive(self) -> None:
        """Wait until all have brought everything to its place.

        :raises Failed: one has not; with everything that is known of the reasons.
        """
        waiting = [_Watch(each) for each in self._begun]
        nap = _LOOKS[0]
        while waiting:
            waiting = [watch for watch in waiting if not await watch.look(self._tools)]
            if any(watch.problem for watch in waiting):
                await self._explain(waiting)
            if waiting:
                await self._tools.time.sleep(nap)
                nap = min(2 * nap, _LOOKS[1])

    async def _explain(self, failing: list[_Watch]) -> None:
        """Raise what went wrong, by then at both ends: one of them knows the reason."""
        await self._tools.time.sleep(_LATER)
        for watch in failing:
            if not watch.problem:
                await watch.look(self._tools)
        problems = [f"{watch.of.what}: {watch.problem}" for watch in failing if watch.problem]
        raise Failed("; ".join(problems), Code.ENVIRONMENT)


class _Watch:
    """Looks at one transfer again and again."""

    def __init__(self, of: UnderWay) -> None:
        self.of = of
        self.problem = ""
        self._connected = False
        self._said = 0.0
        self._silent_since: float | None = None

    async def look(self, tools: Tools) -> bool:
        """Whether it is over and well; else ``problem`` says what is wrong, if something is."""
        now = tools.time.seconds()
        try:
            asked = tools.nodes.ask(self.of.node, calls.AskTransfers(names=(self.of.name,)))
            [status] = await tools.progress.interruptible(asked)
        except Unreachable as e:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since > _TIMEOUT:
                self.problem = str(e)
            return False
        self._silent_since = None
        if status is None:
            self.problem = (
                f"node {self.of.node.name} knows nothing of it any more; its daemon was started"
                " again meanwhile"
            )
            return False
        if status.problem is not None:
            self.problem = status.problem
            return False
        self._say(status, now, tools)
        return status.over

    def _say(self, status: TransferStatus, now: float, tools: Tools) -> None:
        if status.over:
            moved, rate = status.moved / _MIB, status.rate / _MIB
            tools.progress.say(f"{self.of.what}: done, {moved:.1f} MiB at {rate:.1f} MiB/s")
        elif status.connected and not self._connected:
            self._connected, self._said = True, now
            tools.progress.say(f"{self.of.what}: under way")
        elif self._connected and now - self._said >= _SAY:
            self._said = now
            tools.progress.say(f"{self.of.what}: {_progress(status)}")


def _progress(status: TransferStatus) -> str:
    text = f"{status.moved / _MIB:.1f} MiB at {status.rate / _MIB:.1f} MiB/s"
    if status.expected:
        text += f", {min(100, 100 * status.moved // status.expected)}%"
    if status.eta is not None:
        text += f", {status.eta:.0f} s left"
    return text
