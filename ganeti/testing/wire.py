# SPDX-License-Identifier: BSD-2-Clause
"""How a simulated process asks node daemons on other hosts, over links that fail."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred

from ganeti.jobs.shield import shield_from_cancellation
from ganeti.model.node import Node
from ganeti.node.voter import Voter
from ganeti.rpc.guest_lease import ExtendGuestLease
from ganeti.rpc.node import ResumeMaster, StopMaster
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.quorum import DescribeVote, RequestVote
from ganeti.rpc.server import granted_to_other
from ganeti.rpc.wire import CallRequest, failure
from ganeti.testing.clocks import ProcessClock
from ganeti.testing.links import Links
from ganeti.testing.nodes import MemoryNodes

OPEN = frozenset(
    call.wire for call in (DescribeVote, ExtendGuestLease, RequestVote, ResumeMaster, StopMaster)
)
"""Calls that candidates may make, too, or all members."""


class Observer(Protocol):
    """Sees what nodes are asked, and what they answer."""

    def __call__(self, caller: str, node: str, request: CallRequest) -> Callable[[bytes], None]:
        """See a request that reaches a node; what is returned is called with the answer."""
        ...


class Switch:
    """The network of a cluster: links between hosts, and the node daemons that listen there.

    ``shake_hands`` says whether two hosts accept each other's certificates.
    ``daemons`` has the clock of each running node daemon, by the name of its host. The order of
    events of one request is: it travels, it waits in the socket's buffer while the daemon is
    paused, the daemon works, the answer travels, it waits while the caller is paused.
    """

    def __init__(
        self,
        nodes: MemoryNodes,
        links: Links,
        random: Random,
        shake_hands: Callable[[str, str], bool] = lambda caller, node: True,
    ) -> None:
        self.nodes = nodes
        self.links = links
        self.daemons: dict[str, ProcessClock] = {}
        self.voters: dict[str, Voter] = {}
        self.observe: Observer | None = None
        self._random = random
        self._shake_hands = shake_hands

    async def exchange(self, caller: str, node: Node, request: CallRequest) -> bytes:
        """Carry a request from a host to a node daemon, and the answer back.

        Cancelling it closes the connection; a request that is on its way may arrive all the same,
        after others that were sent later.

        :raises TransportError: there was no answer.
        """
        exchange = self._exchange(caller, node, request)
        return await (
            shield_from_cancellation(exchange) if self._random.random() < 0.2 else exchange
        )

    async def _exchange(self, caller: str, node: Node, request: CallRequest) -> bytes:
        await self.links.request(caller, node.name)
        work = await self._received(caller, node, request)
        try:
            answer = await work
        except CancelledError:
            raise
        except TransportError:
            # What a node reports travels like an answer.
            await self.links.answer(node.name, caller)
            raise
        await self.links.answer(node.name, caller)
        return answer

    async def _received(self, caller: str, node: Node, request: CallRequest) -> Deferred[bytes]:
        """Return the daemon's work, once the daemon has read the request."""
        clock = self.daemons.get(node.name)
        if clock is None or clock.dead:
            raise TransportError("connection refused")
        if not self._shake_hands(caller, node.name):
            raise TransportError(
                "the peer's certificate was issued by an authority that is not trusted"
            )
        begun: Deferred[Deferred[bytes]] = Deferred(lambda _: None)
        left = [False]
        # A request in the buffer of a paused daemon is read later, although its connection may
        # have been closed since; unless that was a new one, whose handshake was never finished.
        buffered = self._random.random() < 0.5

        def read() -> None:
            if left[0] and not buffered:
                return
            work = Deferred.fromCoroutine(self._work(caller, node, request))
            if left[0]:
                work.addErrback(lambda _: None)
            else:
                begun.callback(self._abandonable(caller, node.name, work))

        clock.when_running(read)
        try:
            return await begun
        except CancelledError:
            left[0] = True
            raise

    def _abandonable(self, caller: str, node: str, work: Deferred[bytes]) -> Deferred[bytes]:
        """Return what ``work`` answers; to cancel it is to close the connection."""

        def close(_: object) -> None:
            if self.links.is_open(caller, node):
                # A node only notices a closed connection if the packet that says so arrives.
                work.cancel()

        waiting: Deferred[bytes] = Deferred(close)
        work.addBoth(lambda result: None if waiting.called else waiting.callback(result))
        return waiting

    async def _work(self, caller: str, node: Node, request: CallRequest) -> bytes:
        answered = self.observe and self.observe(caller, node.name, request)
        if voter := self.voters.get(node.name):
            granted = voter.state
            others = granted.master not in ("", caller) and request.term == granted.term
            if others and request.name not in OPEN:
                # As the caller's certificate tells a real node daemon.
                return failure(granted_to_other(caller, request.term))
        answer = await self.nodes.exchange(node, request)
        if answered:
            answered(answer)
        return answer


class Wire:
    """A process's way to the nodes: what a dead one has sent arrives, and it hears no answers.

    ``closed`` are the nodes, by name, that it cannot reach.
    """

    def __init__(self, switch: Switch, host: str, clock: ProcessClock) -> None:
        self._switch = switch
        self._host = host
        self._clock = clock
        self.closed: frozenset[str] = frozenset()

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        if self._clock.dead:
            return await self._never()
        if node.name in self.closed:
            raise TransportError("no route to host")
        answer: bytes | TransportError
        try:
            answer = await self._switch.exchange(self._host, node, request)
        except TransportError as e:
            answer = e
        # A paused process notices errors, too, only when it runs again.
        await self._running()
        if isinstance(answer, TransportError):
            raise answer
        return answer

    async def _running(self) -> None:
        if self._clock.dead:
            await self._never()
        elif self._clock.paused:
            running: Deferred[None] = Deferred(lambda _: None)
            self._clock.when_running(lambda: None if running.called else running.callback(None))
            await running

    async def _never(self) -> bytes:
        never: Deferred[bytes] = Deferred()
        self._clock.keep_referenced(never)
        return await never
