# SPDX-License-Identifier: BSD-2-Clause
"""Failure detection: calls to a node daemon that shows no sign of life end, and new ones fail fast.

A call may take as long as its work does, so the time it takes says nothing of the node. While calls
wait, the node is probed instead, by a cheap call on a connection of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.node import AskVersion
from ganeti.rpc.node_client import BadAnswer, Transport, TransportError
from ganeti.rpc.quorum import DescribeVote, ReleaseLease, RenewLease, RequestVote
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    KeepCheckpoint,
    ReadFrames,
    ResetReplica,
)
from ganeti.rpc.wire import CallRequest, request_of

PROBE_DELAY = 5.0
"""Seconds for which the oldest call waits, and nothing is heard of the node, before a probe."""
PROBE_INTERVAL = 10.0
"""Seconds between the starts of two probes. A daemon that is told to stop takes no connections
while it finishes calls, for 15 seconds at most, which is shorter than a run of failed probes."""
PROBE_TIMEOUT = 5.0
MAX_FAILED_PROBES = 3
"""How many probes in a row fail before the calls that wait for the node end."""

RECHECK_TIMEOUT = 2.0
"""Seconds that a new call waits for a node that was found silent."""
RECHECK_INTERVAL = 1.0
"""Seconds for which a failed probe of a silent node holds for further calls."""

DETECTION_TIME = PROBE_DELAY + (MAX_FAILED_PROBES - 1) * PROBE_INTERVAL + PROBE_TIMEOUT
"""Seconds after which calls to a node end whose daemon was silent when they were made."""

_REPLICATION: tuple[type[Call[Any]], ...] = (
    AppendFrames,
    DescribeReplica,
    DescribeVote,
    KeepCheckpoint,
    ReadFrames,
    ReleaseLease,
    RenewLease,
    RequestVote,
    ResetReplica,
)
NOT_PROBED = frozenset(call.wire for call in _REPLICATION)
"""Calls of the replication, which has short time-outs and retries of its own."""


class ProbedTransport:
    """A ``Transport`` that ends exchanges with nodes that do not answer or are marked offline.

    However many calls wait for a node, it gets one probe at a time.
    """

    def __init__(self, way: Transport, clock: IReactorTime) -> None:
        self._way = way
        self._clock = clock
        self._monitors: dict[str, _Monitor] = {}

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of the answer. Cancelling gives the exchange up.

        :raises Lost: there was none, or the node daemon is silent, or the node was given up.
        """
        if request.name in NOT_PROBED:
            return await self._way.exchange(node, request)
        monitor = self._monitors.get(node.uuid)
        if monitor is None:
            monitor = self._monitors[node.uuid] = _Monitor(self._way, self._clock)
        monitor.node, monitor.term = node, request.term
        if monitor.silence is not None:
            await monitor.require_answers()
        return await monitor.wait(Deferred.fromCoroutine(self._way.exchange(node, request)))

    def give_up(self, uuid: str, why: str) -> None:
        """End the exchanges with a node that are in flight now."""
        if monitor := self._monitors.pop(uuid, None):
            # In a later turn: who says so is in the midst of a change of the configuration.
            self._clock.callLater(0, monitor.end_exchanges, why)


@dataclass(eq=False)
class _Exchange:
    """An exchange in flight since ``began``; ``ended`` says why it was ended from here."""

    answer: Deferred[bytes]
    began: float
    ended: str | None = None

    def end(self, why: str) -> None:
        self.ended = why
        self.answer.cancel()


class _Monitor:
    """The exchanges in flight with one node, and what is known of its daemon.

    ``silence`` says why the daemon counts as silent; None if it does not. ``node`` and ``term`` are
    those of the last exchange, and used for probes.
    """

    _log = Logger()
    node: Node
    term: int

    def __init__(self, way: Transport, clock: IReactorTime) -> None:
        self.silence: str | None = None
        self._way = way
        self._clock = clock
        self._exchanges: list[_Exchange] = []  # the oldest first
        self._heard = self._probed = -PROBE_INTERVAL
        self._failed = 0
        self._found_silent = 0.0
        self._timer: IDelayedCall | None = None
        self._probing: Deferred[None] | None = None
        self._rechecking: list[Deferred[None]] | None = None

    async def wait(self, answer: Deferred[bytes]) -> bytes:
        """Return the answer of an exchange that has just begun.

        :raises Lost: there will be none.
        """
        exchange = _Exchange(answer, self._clock.seconds())
        self._exchanges.append(exchange)
        if self._timer is None and self._probing is None:
            self._timer = self._clock.callLater(PROBE_DELAY, self._start_probing)
        try:
            body = await answer
        except BadAnswer:
            self._hear()
            raise
        except CancelledError:
            if exchange.ended is None:
                raise
            raise TransportError(exchange.ended) from None
        else:
            self._hear()
            return body
        finally:
            self._exchanges.remove(exchange)
            if not self._exchanges:
                self._stop_probing()

    def end_exchanges(self, why: str) -> None:
        """End all that is in flight."""
        for exchange in list(self._exchanges):
            exchange.end(why)

    async def require_answers(self) -> None:
        """Return if the node daemon is not known to be silent, or answers again.

        :raises Lost: it is silent.
        """
        recheck = self.silence is not None and self._rechecking is None
        if recheck and self._clock.seconds() - self._found_silent >= RECHECK_INTERVAL:
            self._rechecking = []
            Deferred.fromCoroutine(self._recheck()).addErrback(self._log_unexpected)
        if self._rechecking is not None:
            waiter: Deferred[None] = Deferred()
            self._rechecking.append(waiter)
            await waiter
        if self.silence is not None:
            raise TransportError(self.silence)

    async def _recheck(self) -> None:
        # One who is cancelled while it waits for this does not end it for the others.
        try:
            await self._probe_once(RECHECK_TIMEOUT)
        except TransportError as e:
            self._find_silent(e)
        finally:
            waiting, self._rechecking = self._rechecking or [], None
            for waiter in waiting:
                if not waiter.called:
                    waiter.callback(None)

    def _start_probing(self) -> None:
        self._timer, self._failed = None, 0
        self._probing = Deferred.fromCoroutine(self._probe_while_waiting())
        self._probing.addErrback(self._log_unexpected)

    def _stop_probing(self) -> None:
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if self._probing is not None:
            self._probing.cancel()

    async def _probe_while_waiting(self) -> None:
        try:
            while self._failed < MAX_FAILED_PROBES:
                while (pause := self._due() - self._clock.seconds()) > 0:
                    await deferLater(self._clock, pause)
                try:
                    await self._probe_once(PROBE_TIMEOUT)
                except TransportError as e:
                    self._failed += 1
                    why = e
        except CancelledError:
            return
        finally:
            self._probing = None
        self._find_silent(why)

    def _due(self) -> float:
        """When the next probe is due."""
        quiet_since = max(self._exchanges[0].began, self._heard)
        return max(quiet_since + PROBE_DELAY, self._probed + PROBE_INTERVAL)

    async def _probe_once(self, timeout: float) -> None:
        """Wait for a sign of life.

        :raises Lost: there was none.
        """
        self._probed = self._clock.seconds()
        probe = request_of(AskVersion(), self.term)
        answer = Deferred.fromCoroutine(self._way.exchange(self.node, probe))
        answer.addTimeout(timeout, self._clock)
        try:
            await answer
        except BadAnswer:
            pass  # whatever it says, it is alive
        except TimedOut:
            raise TransportError(f"no answer to a probe within {timeout:g} seconds") from None
        self._hear()

    def _hear(self) -> None:
        """Note a sign of life."""
        self._heard, self._failed = self._clock.seconds(), 0
        if self.silence is not None:
            self.silence = None
            self._log.info("the daemon of node {node} answers again", node=self.node.name)

    def _find_silent(self, why: TransportError) -> None:
        if self.silence is None:
            name = self.node.name
            self._log.warn("the daemon of node {node} does not answer: {why}", node=name, why=why)
        self._found_silent = self._clock.seconds()
        self.silence = f"its node daemon does not answer ({why})"
        self.end_exchanges(self.silence)

    def _log_unexpected(self, failure: Any) -> None:
        self._log.failure("probing node {node} broke", failure, node=self.node.name)
