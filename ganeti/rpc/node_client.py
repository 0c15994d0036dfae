# SPDX-License-Identifier: BSD-2-Clause
"""The client of node daemons: terms, time-outs and errors, independent of the transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import (
    CallUnknown,
    Code,
    Failed,
    GanetiError,
    Invalid,
    NotMaster,
    ProtocolError,
    Refused,
    TermNotGranted,
    Unreachable,
)
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.quorum import RequestVote
from ganeti.rpc.wire import (
    CallRequest,
    OldTerm,
    StaleHandle,
    UnclaimedTerm,
    encode_request,
    result_of,
)

R = TypeVar("R")

CALLS_PER_TURN = 10
"""Calls of several nodes that are started before other work has a turn: two hundred at once would
delay it by a tenth of a second."""


class TransportError(Exception):
    """No answer arrived; the text has the reason."""


class BadAnswer(TransportError):
    """An answer arrived but is not usable; the daemon is alive."""


class UnknownThere(BadAnswer):
    """The node does not know the call; nothing was executed."""


class Transport(Protocol):
    """A carrier of requests to nodes and of their answers."""

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of the answer. Cancelling aborts the exchange.

        :raises TransportError: no answer arrived.
        """
        ...


class NodeClient:
    """The implementation of ``Nodes`` over a transport, for the master named ``master``.

    ``term`` returns the master's term, ``elected`` whether a majority has granted it. A node that
    was unreachable when the term was claimed has to grant it before any other call. ``deposed`` is
    called for each node that has accepted a newer master.
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
        self._transport = way
        self._clock = clock
        self._term = term
        self._master = master
        self._elected = elected
        self._deposed = deposed
        self._encoded: tuple[Call[object], CallRequest] | None = None

    async def ask(self, node: Node, call: Call[R]) -> R:
        """Return the node's answer.

        :raises Unreachable: no answer; it is unknown whether the node has executed the call.
        :raises Failed: the node reports a failure.
        :raises Refused: the node refuses the call, with a reason.
        :raises NotMaster: the node has accepted a newer master.
        """
        if node.offline:
            raise Unreachable(node.name, "the node is marked offline")
        try:
            return await self._ask_once(node, call)
        except UnclaimedTerm:
            await self._claim_term(node)
        # The node has not executed the call, so that it can be repeated.
        return await self._ask_once(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """Ask several nodes in parallel and return their answers or errors by UUID.

        :raises NotMaster: a node has accepted a newer master.
        """
        asked: list[Deferred[R | Failed | NotMaster]] = []
        answers: dict[str, R | Failed] = {}
        try:
            for node in nodes:
                if asked and len(asked) % CALLS_PER_TURN == 0:
                    await deferLater(self._clock, 0)
                asked.append(Deferred.fromCoroutine(ask_for_result(self, node, call)))
            for node, one in zip(nodes, asked, strict=True):
                answer = await one
                if isinstance(answer, NotMaster):
                    raise answer
                answers[node.uuid] = answer
        except GeneratorExit:
            # This coroutine is being garbage collected together with the pending calls, which
            # cannot be cancelled in that state.
            asked.clear()
            raise
        finally:
            for one in asked:
                one.addErrback(lambda _: None)  # an earlier error already ended the whole call
                one.cancel()
        return answers

    async def _claim_term(self, node: Node) -> None:
        term = self._term()
        if not self._elected():
            why = f"the node has not granted term {term} to {self._master}"
            raise TermNotGranted(node.name, why)
        request = RequestVote(term=term, master=self._master, elected=True)
        ballot = await self._ask_once(node, request)
        found = ballot.state
        # Another call of this master may have claimed the term in the meantime.
        if ballot.granted or (found.term, found.master) == (term, self._master):
            return
        if found.term < term:
            why = f"the node does not grant term {term} to {self._master}"
            raise TermNotGranted(node.name, why)
        error = NotMaster(
            f"node {node.name} has granted term {found.term} to {found.master};"
            f" this master's term is {term}"
        )
        self._report_newer_master(error, term)
        raise error

    def _report_newer_master(self, error: NotMaster, term: int) -> None:
        if term == self._term():  # ignore errors of a term that has already ended
            self._deposed(error)

    def _encode(self, call: Call[object]) -> CallRequest:
        """Encode a call, once for all nodes that are asked the same."""
        term = self._term()
        if self._encoded is None or self._encoded[0] is not call or self._encoded[1].term != term:
            self._encoded = call, encode_request(call, term)
        return self._encoded[1]

    async def _ask_once(self, node: Node, call: Call[R]) -> R:
        request = self._encode(call)
        answer = Deferred.fromCoroutine(self._transport.exchange(node, request))
        if (timeout := call.answer_timeout()) is not None:
            answer.addTimeout(timeout, self._clock)
        try:
            return result_of(call, await answer)
        except TimedOut:
            why = f"no answer to {call.wire} within {timeout:g} seconds"
            raise Unreachable(node.name, why) from None
        except UnknownThere as e:
            raise CallUnknown(node.name, str(e)) from None
        except (TransportError, ProtocolError) as e:
            raise Unreachable(node.name, str(e)) from None
        except OldTerm as e:
            error = NotMaster(f"{node.name}: {e}")
            self._report_newer_master(error, request.term)
            raise error from None
        except (UnclaimedTerm, StaleHandle):
            raise
        except GanetiError as e:
            raise _add_node_name(node, e) from None


async def ask_for_result(nodes: Nodes, node: Node, call: Call[R]) -> R | Failed | NotMaster:
    """Return the answer of one of several nodes that are asked, or its error."""
    try:
        return await nodes.ask(node, call)
    except (Failed, NotMaster) as e:
        return e
    except GanetiError as e:
        return Failed(str(e), getattr(e, "code", None))


def _add_node_name(node: Node, error: GanetiError) -> GanetiError:
    """Return the node's error with its name added, as a type that callers expect."""
    text = f"{node.name}: {error}"
    if isinstance(error, Refused):
        return Refused(text, error.code)
    code: Code | None = Code.INPUT if isinstance(error, Invalid) else getattr(error, "code", None)
    return Failed(text, code)
