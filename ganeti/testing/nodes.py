# SPDX-License-Identifier: BSD-2-Clause
"""Nodes in memory, asked through the real encoding, which can be made to misbehave."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure

from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.node_client import NodeClient, TransportError, UnknownThere
from ganeti.rpc.server import CallHandlers, UnknownCall
from ganeti.rpc.wire import CallRequest

R = TypeVar("R")

Misbehaviour = Callable[[CallRequest, Callable[[], Awaitable[bytes]]], Awaitable[bytes]]
"""What a node does with a request instead of just answering it by the function it is given."""


class MemoryNodes:
    """``Nodes`` whose answers come from ``CallHandlers`` in this process, without sockets.

    Every exchange takes ``delay()`` seconds of ``clock`` on its way there and on its way back;
    without ``delay`` it takes place in the same turn. ``asked`` lists node name and call name of
    all that was sent.
    """

    def __init__(
        self,
        answers: Mapping[str, CallHandlers] | None = None,
        *,
        clock: IReactorTime | None = None,
        delay: Callable[[], float] | None = None,
        term: Callable[[], int] = lambda: 0,
        master: str = "node1",
    ) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answers = dict(answers or {})
        self._clock = clock or Clock()
        self._delay = delay
        self._misbehaving: dict[str, Misbehaviour] = {}
        self._under_way: dict[str, dict[Deferred[bytes], Deferred[bytes]]] = {}
        self._asker = NodeClient(self, self._clock, term=term, master=master)

    # --- Nodes

    async def ask(self, node: Node, call: Call[R]) -> R:
        return await self._asker.ask(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        return await self._asker.ask_all(nodes, call)

    # --- what tests say

    def add_node(self, name: str, answers: CallHandlers) -> None:
        """From now on ``answers`` stand for the node of this name, whatever was there before."""
        self._answers[name] = answers

    def remove(self, name: str) -> None:
        """There is no such node any more."""
        self._answers.pop(name, None)

    def kill(self, name: str) -> None:
        """The node's daemon ends: what it does stops, and no caller gets an answer."""
        # A copy, as work that ends removes itself.
        for work, waiting in list(self._under_way.get(name, {}).items()):
            # The caller first, as what the cancelled work returns is not its answer.
            _tell(waiting, Failure(TransportError("the connection was lost")))
            work.cancel()

    def crash(self, name: str) -> Sequence[object]:
        """The node's daemon is killed: no caller gets an answer, and what it does is never ended.

        The caller must keep the returned work: being collected would end it.
        """
        under_way = self._under_way.pop(name, {})
        for waiting in list(under_way.values()):
            _tell(waiting, Failure(TransportError("the connection was lost")))
        return list(under_way)

    def behave(self, name: str) -> None:
        """The node answers as it should again."""
        self._misbehaving.pop(name, None)

    def vanish(self, name: str) -> None:
        """The node takes no connections."""
        self._misbehaving[name] = _refuses

    def hang(self, name: str) -> None:
        """The node takes requests and neither does nor answers anything."""
        self._misbehaving[name] = _hangs

    def slow(self, name: str, seconds: float) -> None:
        """The node does what it is asked ``seconds`` late."""

        async def late(_: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
            await deferLater(self._clock, seconds)
            return await answer()

        self._misbehaving[name] = late

    def garbage(self, name: str, answer: bytes = b"<html>") -> None:
        """The node answers nonsense, and does nothing."""

        async def nonsense(*_: object) -> bytes:
            return answer

        self._misbehaving[name] = nonsense

    def lose_request(self, name: str, n: int = 1, *, call: str | None = None) -> None:
        """The ``n``-th request from now (of this call's name) is lost before the node does it."""
        self._misbehaving[name] = _at(n, call, _loses_request)

    def lose_answer(self, name: str, n: int = 1, *, call: str | None = None) -> None:
        """The ``n``-th request from now (of this call's name) is done, and its answer is lost."""
        self._misbehaving[name] = _at(n, call, _loses_answer)

    def misbehave(self, name: str, how: Misbehaviour) -> None:
        """The node does ``how`` with each request."""
        self._misbehaving[name] = how

    # --- the way

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Carry a request to the node's ``CallHandlers`` and the answer back."""
        self.asked.append((node.name, request.name))
        await self._travel()
        if node.name not in self._answers:
            raise TransportError("connection refused")

        async def answer() -> bytes:
            # Of the daemon that runs now: a request that a slow node has not begun with when its
            # daemon is started again must not be carried out by what the former one knew.
            answers = self._answers.get(node.name)
            if answers is None:
                raise TransportError("the connection was lost")
            try:
                return await self._work(node.name, answers, request)
            except UnknownCall as e:
                raise UnknownThere(f"it answered with status 404: {e}") from None

        how = self._misbehaving.get(node.name)
        told = await (answer() if how is None else how(request, answer))
        await self._travel()
        return told

    async def _work(self, name: str, answers: CallHandlers, request: CallRequest) -> bytes:
        """The answer; who does not wait for it any more does not keep the node from its work."""
        work = Deferred.fromCoroutine(answers.answer_call(request, None))
        if work.called:
            return await work
        finishes = answers.finishes(request.name)
        # Some calls are carried to their end even if the caller has disconnected.
        waiting: Deferred[bytes] = Deferred(lambda _: None if finishes else work.cancel())
        under_way = self._under_way.setdefault(name, {})
        under_way[work] = waiting
        work.addBoth(lambda told: _tell(under_way.pop(work), told))
        return await waiting

    async def _travel(self) -> None:
        if self._delay is not None:
            await deferLater(self._clock, self._delay())


def _tell(waiting: Deferred[bytes], told: bytes | Failure) -> None:
    if not waiting.called:
        waiting.callback(told)


async def _refuses(*_: object) -> bytes:
    raise TransportError("connection refused")


async def _hangs(*_: object) -> bytes:
    return await Deferred()


async def _loses_request(*_: object) -> bytes:
    raise TransportError("the connection was lost")


async def _loses_answer(_: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
    await answer()
    raise TransportError("the connection was closed before the answer")


def _at(n: int, call: str | None, how: Misbehaviour) -> Misbehaviour:
    count: Iterator[int] = itertools.count(1)

    async def counting(request: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
        if call in (None, request.name) and next(count) == n:
            return await how(request, answer)
        return await answer()

    return counting
