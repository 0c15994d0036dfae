# SPDX-License-Identifier: BSD-2-Clause
"""Asking nodes: terms, time-outs and the words for what went wrong, whatever carries the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime

from ganeti.errors import (
    Code,
    Failed,
    GanetiError,
    Invalid,
    NotMaster,
    ProtocolError,
    Refused,
    Unreachable,
)
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.quorum import RequestVote
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, request_of, result_of

R = TypeVar("R")


class TransportError(Exception):
    """There was no answer; the text says why."""


class BadAnswer(TransportError):
    """There was an answer, but not to what was asked: the daemon at the other end is alive."""


class Transport(Protocol):
    """What carries a request to a node and its answer back."""

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """The body of the answer. Cancelling gives the exchange up.

        :raises Lost: there was none.
        """
        ...


class NodeClient:
    """``Nodes`` over any way to them, for the master named ``master``.

    ``term`` is the master's own, ``elected`` whether most nodes have voted for it. A node that was
    away when the term was claimed is asked to accept it before it is asked anything else.
    ``deposed`` hears of each node that obeys a newer master.
    """

    def __init__(
        self,
        way: Transport,
        clock: IReactorTime,
        *,
        term: Callable[[], int],
        master: str,
        elected: Callable[[], bool] = lambda: True,
        deposed: Callable[[NotMaster], None] = lambda _: None,
    ) -> None:
        self._way = way
        self._clock = clock
        self._term = term
        self._master = master
        self._elected = elected
        self._deposed = deposed

    async def ask(self, node: Node, call: Call[R]) -> R:
        """The node's answer.

        :raises Unreachable: nobody knows whether the node has done it.
        :raises Failed: the node says that it could not, and why.
        :raises Refused: the node says what would make it possible.
        :raises NotMaster: the node has accepted a newer master.
        """
        if node.offline:
            raise Unreachable(node.name, "it is marked offline")
        try:
            return await self._ask_once(node, call)
        except UnclaimedTerm:
            await self._claim(node)
        return await self._ask_once(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """The answers of several nodes at once, by UUID, trouble included.

        :raises NotMaster: one of them has accepted a newer master.
        """
        asked = [Deferred.fromCoroutine(self._ask_kindly(node, call)) for node in nodes]
        answers: dict[str, R | Failed] = {}
        try:
            for node, one in zip(nodes, asked, strict=True):
                answer = await one
                if isinstance(answer, NotMaster):
                    raise answer
                answers[node.uuid] = answer
        except GeneratorExit:
            # Collected, together with those below, which are in no state to be cancelled.
            asked.clear()
            raise
        finally:
            for one in asked:
                one.addErrback(lambda _: None)  # of no interest once one has ended it all
                one.cancel()
        return answers

    async def _ask_kindly(self, node: Node, call: Call[R]) -> R | Failed | NotMaster:
        try:
            return await self.ask(node, call)
        except (Failed, NotMaster) as e:
            return e
        except GanetiError as e:
            return Failed(str(e), getattr(e, "code", None))

    async def _claim(self, node: Node) -> None:
        term = self._term()
        if not self._elected():
            raise Unreachable(node.name, f"it has not granted term {term} to {self._master}")
        request = RequestVote(term=term, master=self._master, elected=True)
        ballot = await self._ask_once(node, request)
        found = ballot.state
        if ballot.granted or (found.term, found.master) == (term, self._master):
            return
        if found.term < term:
            raise Unreachable(node.name, f"it does not grant term {term} to {self._master}")
        error = NotMaster(
            f"node {node.name} has granted term {found.term} to {found.master};"
            f" this master's term is {term}"
        )
        self._learned(error, term)
        raise error

    def _learned(self, error: NotMaster, term: int) -> None:
        if term == self._term():  # and not of one that we have left ourselves
            self._deposed(error)

    async def _ask_once(self, node: Node, call: Call[R]) -> R:
        request = request_of(call, self._term())
        answer = Deferred.fromCoroutine(self._way.exchange(node, request))
        if (timeout := call.answer_timeout()) is not None:
            answer.addTimeout(timeout, self._clock)
        try:
            return result_of(call, await answer)
        except TimedOut:
            why = f"no answer to {call.wire} within {timeout:g} seconds"
            raise Unreachable(node.name, why) from None
        except (TransportError, ProtocolError) as e:
            raise Unreachable(node.name, str(e)) from None
        except OldTerm as e:
            error = NotMaster(f"{node.name}: {e}")
            self._learned(error, request.term)
            raise error from None
        except UnclaimedTerm:
            raise
        except GanetiError as e:
            raise _told_by(node, e) from None


def _told_by(node: Node, error: GanetiError) -> GanetiError:
    """The node's error with the node's name, and of a kind that callers of nodes expect."""
    text = f"{node.name}: {error}"
    if isinstance(error, Refused):
        return Refused(text, error.code)
    code: Any = Code.INPUT if isinstance(error, Invalid) else getattr(error, "code", None)
    return Failed(text, code)
