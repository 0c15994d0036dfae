# SPDX-License-Identifier: BSD-2-Clause
"""Questions about single guests that go to many nodes, shared by concurrent callers.

Each start of an instance that any node could run asks all nodes whether they run it. The calls of
one question are spread over several turns of the reactor; a call that has not been sent yet takes
on the questions of other callers, so that a node is asked once about all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ganeti.errors import Failed, NotMaster
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node_client import CALLS_PER_TURN, ask_for_result

R = TypeVar("R")

Listing: TypeAlias = "Mapping[str, GuestState] | Failed"
"""The running guests of a node by name, or why they are not known."""

_Key: TypeAlias = tuple[str, tuple[str, ...]]
"""UUID of a node and the hypervisors that it is asked about. Calls with different ones are never
shared, as a node fails the whole call if it does not have one of them."""


@dataclass(eq=False)
class _Question:
    """The question of one caller: the names of guests, and the answers so far by node UUID.

    ``pending`` are the calls to nodes that have not answered yet, by UUID.
    """

    names: tuple[str, ...]
    result: Deferred[Mapping[str, Listing]]
    pending: dict[str, _SharedCall] = field(default_factory=dict)
    answers: dict[str, Listing] = field(default_factory=dict)


@dataclass(eq=False)
class _SharedCall:
    """A call to a node for all of ``questions``; ``sent`` is its end, or None if it still waits."""

    node: Node
    hypervisors: tuple[str, ...]
    questions: dict[_Question, None] = field(default_factory=dict)
    sent: Deferred[None] | None = None


class SharedListings(Nodes):
    """``Nodes`` that shares questions about guests; all other calls are passed on.

    An answer always belongs to a call that was sent after the question was asked: a node's answer
    to an earlier call proves nothing about a start that began meanwhile. A node that does not
    answer delays the callers that asked it, and no others. If a caller is cancelled, the others
    keep their answers; a call that has no caller left is cancelled.

    At most ``calls_per_turn`` calls are sent in each turn. A question to so few nodes is passed on
    as well, since it would only wait for those of others.
    """

    def __init__(
        self, nodes: Nodes, clock: IReactorTime, *, calls_per_turn: int = CALLS_PER_TURN
    ) -> None:
        self._nodes = nodes
        self._clock = clock
        self._calls_per_turn = calls_per_turn
        self._unsent: dict[_Key, _SharedCall] = {}
        self._sending: IDelayedCall | None = None
        self._completed: deque[tuple[_Question, Mapping[str, Listing] | Failure]] = deque()

    async def ask(self, node: Node, call: Call[R]) -> R:
        """Return the node's answer; see ``Nodes``."""
        return await self._nodes.ask(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """Ask several nodes and return their answers or errors by UUID.

        :raises NotMaster: a node has accepted a newer master.
        """
        many = len(nodes) > self._calls_per_turn
        if many and isinstance(call, ListGuests) and call.only is not None:
            answers: Any = await self._ask(nodes, call.hypervisors, call.only)
            return answers  # type: ignore[no-any-return]  # R is that of ``ListGuests``
        return await self._nodes.ask_all(nodes, call)

    def _ask(
        self, nodes: Sequence[Node], hypervisors: tuple[str, ...], names: tuple[str, ...]
    ) -> Deferred[Mapping[str, Listing]]:
        question = _Question(names, Deferred(lambda _: self._withdraw(question)))
        for node in nodes:
            key = node.uuid, hypervisors
            call = self._unsent.get(key)
            if call is None:
                call = self._unsent[key] = _SharedCall(node, hypervisors)
            call.questions[question] = None
            question.pending[node.uuid] = call
        if self._sending is None:
            self._send()
        return question.result

    def _send(self) -> None:
        """Send the calls that wait for longest, and the others in later turns."""
        self._sending = None
        for key in list(islice(self._unsent, self._calls_per_turn)):
            call = self._unsent.pop(key, None)
            if call is None:  # an earlier one of them has failed all its questions at once
                continue
            call.sent = Deferred.fromCoroutine(self._exchange(call))
            call.sent.addErrback(self._fail, call)
        if self._unsent:
            self._sending = self._clock.callLater(0, self._send)

    async def _exchange(self, call: _SharedCall) -> None:
        names = dict.fromkeys(name for question in call.questions for name in question.names)
        wire = ListGuests(hypervisors=call.hypervisors, only=tuple(names))
        answer = await ask_for_result(self._nodes, call.node, wire)
        if isinstance(answer, NotMaster):
            raise answer
        uuid = call.node.uuid
        for question in call.questions:
            question.answers[uuid] = _select(answer, question.names)
            del question.pending[uuid]
            if not question.pending:
                self._complete(question, question.answers)

    def _fail(self, failure: Failure, call: _SharedCall) -> None:
        """Fail the questions of a call that ended without an answer.

        There are none if the call was cancelled, as only their absence cancels it.
        """
        for question in list(call.questions):
            self._withdraw(question)
            self._complete(question, failure)

    def _withdraw(self, question: _Question) -> None:
        """Remove a question from its calls, and cancel those that nothing else waits for."""
        pending, question.pending = question.pending, {}
        for uuid, call in pending.items():
            del call.questions[question]
            if call.questions:
                continue
            if call.sent is None:
                del self._unsent[uuid, call.hypervisors]
            else:
                call.sent.cancel()
        if self._sending is not None and not self._unsent:
            self._sending.cancel()
            self._sending = None

    def _complete(self, question: _Question, result: Mapping[str, Listing] | Failure) -> None:
        """Let a caller go on in a later turn.

        Each in one of its own: many operations that go on in one turn would delay all other work.
        """
        self._completed.append((question, result))
        if len(self._completed) == 1:
            self._clock.callLater(0, self._wake_caller)

    def _wake_caller(self) -> None:
        question, result = self._completed.popleft()
        if self._completed:
            self._clock.callLater(0, self._wake_caller)
        # It may have been cancelled since its last answer.
        if not question.result.called:
            question.result.callback(result)


def _select(answer: Listing, names: Sequence[str]) -> Listing:
    """Return the part of an answer that one question is about."""
    if not answer or isinstance(answer, Failed):
        return answer
    return {name: answer[name] for name in names if name in answer}
