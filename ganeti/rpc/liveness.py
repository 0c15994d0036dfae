# SPDX-License-Identifier: BSD-2-Clause
"""Failure detection: calls to a node daemon that does not answer end, and new ones fail fast.

The duration of a call does not tell whether the node is alive, as work on large disks takes long.
Instead, a node that calls wait for is probed by a cheap call on a separate connection.
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
from ganeti.rpc.node import AskVersion, WatchNode
from ganeti.rpc.node_client import BadAnswer, Transport, TransportError
from ganeti.rpc.quorum import DescribeVote, ReleaseLease, RenewLease, RequestVote
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    OpenReplica,
    ReadFrames,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.rpc.wire import CallRequest, encode_request

PROBE_DELAY = 5.0
"""Seconds without an answer from the node, and of waiting for the oldest call, before a probe."""
PROBE_INTERVAL = 10.0
"""Seconds between the starts of two probes. A daemon that is shutting down accepts no connections
while it completes calls, for at most 15 seconds, which is shorter than a run of failed probes."""
PROBE_TIMEOUT = 5.0
MAX_FAILED_PROBES = 3
"""The number of consecutive failed probes that ends the calls to the node."""

RECHECK_TIMEOUT = 2.0
"""Seconds that a new call to a failed node waits for a probe."""
RECHECK_INTERVAL = 1.0
"""Seconds for which the result of such a probe is reused for further calls."""

DETECTION_TIME = PROBE_DELAY + (MAX_FAILED_PROBES - 1) * PROBE_INTERVAL + PROBE_TIMEOUT
"""Seconds after which calls end if the node daemon did not answer from their start."""

_REPLICATION_CALLS: tuple[type[Call[object]], ...] = (
    AppendFrames,
    DescribeReplica,
    DescribeVote,
    OpenReplica,
    StoreCheckpoint,
    ReadFrames,
    ReleaseLease,
    RenewLease,
    RequestVote,
    ResetReplica,
)
UNPROBED_CALLS = frozenset({WatchNode.wire, *(call.wire for call in _REPLICATION_CALLS)})
"""Calls without probes, which have short time-outs and their own retries: those of replication, and
the one by which a node reports changes, which waits at each node all the time."""


class ProbedTransport:
    """A ``Transport`` that ends exchanges with nodes that do not answer or are marked offline.

    A node gets one probe at a time, independent of the number of calls that wait for it.
    """

    def __init__(self, way: Transport, clock: IReactorTime) -> None:
        self._transport = way
        self._clock = clock
        self._monitors: dict[str, _Monitor] = {}

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of the answer. Cancelling aborts the exchange.

        :raises TransportError: no answer arrived, the node daemon does not answer probes, or
           ``give_up`` was called.
        """
        if request.name in UNPROBED_CALLS:
            return await self._transport.exchange(node, request)
        monitor = self._monitors.get(node.uuid)
        if monitor is None:
            monitor = self._monitors[node.uuid] = _Monitor(self._transport, self._clock)
        monitor.node, monitor.term = node, request.term
        if monitor.silence is not None:
            await monitor.check_alive()
        return await monitor.wait(Deferred.fromCoroutine(self._transport.exchange(node, request)))

    def give_up(self, uuid: str, why: str) -> None:
        """End the exchanges in flight with a node; ``why`` is their error."""
        if monitor := self._monitors.pop(uuid, None):
            # In a later turn, because the caller is still in a change of the configuration.
            self._clock.callLater(0, monitor.abort_exchanges, why)


@dataclass(eq=False)
class _Exchange:
    """An exchange in flight since ``began``; ``ended`` is the reason if it was ended here."""

    answer: Deferred[bytes]
    began: float
    ended: str | None = None

    def end(self, why: str) -> None:
        self.ended = why
        self.answer.cancel()


class _Monitor:
    """The exchanges in flight with one node, and the state of its daemon.

    ``silence`` is the reason why the daemon is considered failed, or None. ``node`` and ``term``
    are those of the last exchange; probes use them.
    """

    _log = Logger()
    node: Node
    term: int

    def __init__(self, way: Transport, clock: IReactorTime) -> None:
        self.silence: str | None = None
        self._transport = way
        self._clock = clock
        self._exchanges: list[_Exchange] = []  # the oldest first
        self._last_answer = self._last_probe = -PROBE_INTERVAL
        self._failed_probes = 0
        self._failed_at = 0.0
        self._timer: IDelayedCall | None = None
        self._probing: Deferred[None] | None = None
        self._rechecking: list[Deferred[None]] | None = None

    async def wait(self, answer: Deferred[bytes]) -> bytes:
        """Return the answer of an exchange that has just started.

        :raises TransportError: no answer will arrive.
        """
        exchange = _Exchange(answer, self._clock.seconds())
        self._exchanges.append(exchange)
        if self._timer is None and self._probing is None:
            self._timer = self._clock.callLater(PROBE_DELAY, self._start_probing)
        try:
            body = await answer
        except BadAnswer:
            self._record_answer()
            raise
        except CancelledError:
            if exchange.ended is None:
                raise
            raise TransportError(exchange.ended) from None
        else:
            self._record_answer()
            return body
        finally:
            self._exchanges.remove(exchange)
            if not self._exchanges:
                self._stop_probing()

    def abort_exchanges(self, why: str) -> None:
        """End all exchanges in flight; ``why`` is their error."""
        # A copy, as each exchange removes itself from the list when it ends.
        for exchange in list(self._exchanges):
            exchange.end(why)

    async def check_alive(self) -> None:
        """Return if the node daemon is not considered failed, or answers a probe.

        :raises TransportError: it does not answer.
        """
        recheck = self.silence is not None and self._rechecking is None
        if recheck and self._clock.seconds() - self._failed_at >= RECHECK_INTERVAL:
            self._rechecking = []
            Deferred.fromCoroutine(self._recheck()).addErrback(self._log_unexpected)
        if self._rechecking is not None:
            waiter: Deferred[None] = Deferred()
            self._rechecking.append(waiter)
            await waiter
        if self.silence is not None:
            raise TransportError(self.silence)

    async def _recheck(self) -> None:
        # Cancelling one of the waiting calls must not cancel the probe for the others.
        try:
            await self._probe_once(RECHECK_TIMEOUT)
        except TransportError as e:
            self._record_failure(e)
        finally:
            waiting, self._rechecking = self._rechecking or [], None
            for waiter in waiting:
                if not waiter.called:
                    waiter.callback(None)

    def _start_probing(self) -> None:
        self._timer, self._failed_probes = None, 0
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
            while self._failed_probes < MAX_FAILED_PROBES:
                # Answers that arrive in the meantime postpone the probe.
                while (pause := self._next_probe() - self._clock.seconds()) > 0:
                    await deferLater(self._clock, pause)
                try:
                    await self._probe_once(PROBE_TIMEOUT)
                except TransportError as e:
                    self._failed_probes += 1
                    why = e
        # An answer has arrived, or no exchange waits any more: there is no failure to record.
        except CancelledError:
            return
        finally:
            self._probing = None
        # After ``_probing`` was cleared: the end of the last exchange stops the probing.
        self._record_failure(why)

    def _next_probe(self) -> float:
        """Return the time of the next probe."""
        quiet_since = max(self._exchanges[0].began, self._last_answer)
        return max(quiet_since + PROBE_DELAY, self._last_probe + PROBE_INTERVAL)

    async def _probe_once(self, timeout: float) -> None:
        """Wait for any answer to a probe.

        :raises TransportError: none arrived.
        """
        self._last_probe = self._clock.seconds()
        probe = encode_request(AskVersion(), self.term)
        answer = Deferred.fromCoroutine(self._transport.exchange(self.node, probe))
        answer.addTimeout(timeout, self._clock)
        try:
            await answer
        except BadAnswer:
            pass  # any answer proves that the daemon is alive
        except TimedOut:
            raise TransportError(f"no answer to a probe within {timeout:g} seconds") from None
        self._record_answer()

    def _record_answer(self) -> None:
        """Record an answer of the daemon."""
        self._last_answer, self._failed_probes = self._clock.seconds(), 0
        if self.silence is not None:
            self.silence = None
            self._log.info("node daemon on {node} answers again", node=self.node.name)

    def _record_failure(self, why: TransportError) -> None:
        if self.silence is None:
            name = self.node.name
            self._log.warn("node daemon on {node} does not answer: {why}", node=name, why=why)
        self._failed_at = self._clock.seconds()
        self.silence = f"the node daemon does not answer ({why})"
        self.abort_exchanges(self.silence)

    def _log_unexpected(self, failure: Any) -> None:
        self._log.failure("probing node {node} failed unexpectedly", failure, node=self.node.name)
