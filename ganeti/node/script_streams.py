# SPDX-License-Identifier: BSD-2-Clause
"""Streams between a flow and a script that share a pipe; the failure of either ends the other.

End of file on a pipe means that everything was written. The local end therefore stays open until
that is certain. Of the two, the one that failed first provides the error.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ganeti.errors import Failed
from ganeti.system.interfaces import IStreams, ITransfer

Script: TypeAlias = Coroutine[Deferred[object], object, None]
"""A script that runs, until it has ended or is canceled."""


class _RunningScript:
    """A running script; ``ended`` is called with its failure, or None, when it has ended."""

    def __init__(
        self,
        work: Script,
        ended: Callable[[Failure | None], object],
    ) -> None:
        self.over = False
        self.failure: Failure | None = None
        self._ended = ended
        self._running = Deferred.fromCoroutine(work)
        self._running.addBoth(self._on_ended)

    def _on_ended(self, result: Failure | None) -> None:
        self.over = True
        self.failure = result if isinstance(result, Failure) else None
        self._ended(self.failure)

    async def end(self) -> None:
        """Return when the script has ended, in whatever way; cancelling kills it."""
        await self._running

    async def kill(self) -> None:
        """Kill the script unless it has ended, and wait for its end."""
        if not self.over:
            self._running.cancel()
            await self._running


async def stream_into_script(
    streams: IStreams,
    flow: ITransfer,
    script: Script,
    read: int,
    write: int,
) -> None:
    """Connect a flow into ``write`` with a script that reads from ``read``; close both.

    :raises Failed: the flow or the script failed; both have ended.
    """

    def ended(failure: Failure | None) -> None:
        streams.close(read)
        if failure is not None:
            flow.stop()

    running = _RunningScript(script, ended)
    arrived = False
    try:
        await flow.ended()
        arrived = True
    except Failed as e:
        if running.failure is not None:
            running.failure.raiseException()
        if running.over:
            raise Failed(f"{e}; the reading script had already ended", e.code) from None
        raise
    finally:
        if not arrived:
            await running.kill()
        streams.close(write)
    await running.end()
    if running.failure is not None:
        running.failure.raiseException()


async def stream_from_script(
    streams: IStreams,
    flow: ITransfer,
    script: Script,
    write: int,
    says: int,
) -> None:
    """Connect a script that writes into ``write`` with a flow; close ``write`` and ``says``.

    :raises Failed: the flow or the script failed; both have ended.
    """
    lost: list[Failure] = []

    def ended(failure: Failure | None) -> None:
        # Stop the flow before the pipe is closed, which it would take for the end of the data.
        if failure is not None:
            flow.stop()
        streams.close(says)
        streams.close(write)

    running = _RunningScript(script, ended)

    async def watch() -> None:
        try:
            await flow.ended()
        except Failed:
            if not running.over:
                lost.append(Failure())
                await running.kill()

    watching = Deferred.fromCoroutine(watch())
    watching.addErrback(lambda failure: failure.trap(CancelledError))
    try:
        await running.end()
        if running.failure is not None and not lost:
            running.failure.raiseException()
        await flow.ended()
    finally:
        watching.cancel()
