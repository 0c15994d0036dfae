# SPDX-License-Identifier: BSD-2-Clause
"""The network between simulated hosts: one link for each direction, open, slow, lossy or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ganeti.rpc.node_client import TransportError

CONNECT_TIMEOUT = 10.0
"""Seconds after which a connection that is not answered is given up."""

RETRANSMISSION = 120.0
"""Seconds for which a kernel repeats what is not confirmed, before the connection is lost."""


@dataclass
class Link:
    """One direction between two hosts.

    A link that ``rejects`` answers connections at once with an error; one that is cut and does not
    reject loses packets silently. ``delay`` is in seconds; ``loss`` the chance that a connection is
    reset by the time a message has arrived.
    """

    cut: bool = False
    rejects: bool = False
    delay: Callable[[], float] | None = None
    loss: float = 0.0
    waiting: list[Deferred[None]] = field(default_factory=list)


class Links:
    """The links between hosts, by the names of the two; all are open in the beginning."""

    def __init__(self, clock: IReactorTime, random: Random, delay: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self._delay = delay
        self._links: dict[tuple[str, str], Link] = {}
        self._flapping: dict[tuple[str, str], IDelayedCall] = {}

    # --- what tests say

    def link(self, source: str, destination: str) -> Link:
        """Return the link of one direction."""
        return self._links.setdefault((source, destination), Link())

    def cut_link(self, source: str, destination: str, *, rejects: bool = False) -> None:
        """Let nothing pass from ``source`` to ``destination``; the other direction stays."""
        link = self.link(source, destination)
        link.cut, link.rejects = True, rejects

    def heal(self, source: str, destination: str) -> None:
        """Open a link again; what its kernel still repeats arrives."""
        link = self.link(source, destination)
        link.cut = False
        waiting, link.waiting = link.waiting, []
        for each in waiting:
            # Repetitions become rare, so that it takes a while until one comes through.
            self._clock.callLater(self._random.uniform(0.0, 2.0), _fire, each)

    def cut_between(
        self, side: Iterable[str], others: Iterable[str], *, one_way: bool = False
    ) -> None:
        """Cut every link from ``side`` to ``others``, and the way back unless ``one_way``."""
        rejects, others = self._random.random() < 0.3, list(others)
        for here in side:
            for there in others:
                self.cut_link(here, there, rejects=rejects)
                if not one_way:
                    self.cut_link(there, here, rejects=rejects)

    def flap(self, source: str, destination: str, up: float, down: float) -> None:
        """Open and cut both directions in turns, of about so many seconds, until ``heal_all``."""
        pair = (source, destination)

        def turn() -> None:
            if self.link(*pair).cut:
                self.heal(*pair)
                self.heal(*reversed(pair))
                pause = up
            else:
                self.cut_link(*pair)
                self.cut_link(*reversed(pair))
                pause = down
            pause *= self._random.uniform(0.3, 1.7)
            self._flapping[pair] = self._clock.callLater(pause, turn)

        if pair not in self._flapping:
            turn()

    def disturb(self, source: str, destination: str, *, delay: float, loss: float) -> None:
        """Let messages of one direction take up to ``delay`` seconds, and lose some connections."""
        link = self.link(source, destination)
        link.delay, link.loss = (lambda: self._random.uniform(0.0, delay)), loss

    def heal_all(self) -> None:
        """Make every link as it was in the beginning."""
        for timer in self._flapping.values():
            timer.cancel()
        self._flapping.clear()
        for pair, link in self._links.items():
            link.delay, link.loss, link.rejects = None, 0.0, False
            self.heal(*pair)

    def is_open(self, source: str, destination: str) -> bool:
        """Whether messages pass in this direction now."""
        return source == destination or not self.link(source, destination).cut

    def connected(self, one: str, other: str) -> bool:
        """Whether messages pass in both directions now."""
        return self.is_open(one, other) and self.is_open(other, one)

    # --- messages

    async def request(self, source: str, destination: str) -> None:
        """Return when a request has arrived, by a new connection or one that was open.

        :raises TransportError: it has not, and never will.
        """
        if source != destination and self._random.random() < 0.5:
            await self._connect(source, destination)
        await self._carry(source, destination)

    async def answer(self, source: str, destination: str) -> None:
        """Return when an answer has arrived.

        :raises TransportError: it has not, and never will.
        """
        await self._carry(source, destination)

    async def _connect(self, source: str, destination: str) -> None:
        """Open a connection, for which both directions are needed."""
        if self.connected(source, destination):
            return
        if self.link(source, destination).rejects:
            raise TransportError("no route to host")
        await self._sleep(CONNECT_TIMEOUT)
        # The first packet is repeated, so that a link which is open again by then is enough.
        if not self.connected(source, destination):
            raise TransportError("the connection could not be opened in time")

    async def _carry(self, source: str, destination: str) -> None:
        link = self.link(source, destination)
        await self._sleep((link.delay or self._delay)())
        if source == destination:
            return
        if link.cut:
            await self._opened(link)
        if link.loss and self._random.random() < link.loss:
            raise TransportError("the connection was reset")

    async def _opened(self, link: Link) -> None:
        opened: Deferred[None] = Deferred()
        link.waiting.append(opened)
        timer = self._clock.callLater(RETRANSMISSION, _fail, opened)
        try:
            await opened
        finally:
            if timer.active():
                timer.cancel()
            if opened in link.waiting:
                link.waiting.remove(opened)

    def _sleep(self, seconds: float) -> Deferred[None]:
        slept: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(seconds, slept.callback, None)
        return slept


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _fail(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.errback(TransportError("the connection timed out"))
