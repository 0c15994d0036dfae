# SPDX-License-Identifier: BSD-2-Clause
"""Checkpoints: what the journal says, as the classic files, so that its older part can go.

A checkpoint is ``config.data``, the queue's files, and last of all a marker with the position
that they stand for. The files may be newer than the marker after a crash in between; replaying
what they hold already changes nothing, so that does no harm.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config import access
from ganeti.config.formats import Checkpoint
from ganeti.config.state import ClusterState
from ganeti.jobs.job import encode
from ganeti.jobs.shield import shielded
from ganeti.jobs.store import JobStore
from ganeti.journal.file import FileJournal
from ganeti.journal.marker import complete, marker_at, replacing
from ganeti.master.follower import CheckpointFiles
from ganeti.master.hand_edits import digest_of
from ganeti.master.state_paths import StatePaths
from ganeti.system.interfaces import IFiles

PAUSE = 10.0
"""Seconds from the first change that the files do not have to when they are written."""

QUEUE_VERSION = b"1\n"


class Checkpoints:
    """Writes checkpoints some time after something has changed, and when it is told to."""

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        places: StatePaths,
        journal: FileJournal,
        state: Callable[[], ClusterState],
        jobs: JobStore,
        clock: IReactorTime,
    ) -> None:
        self._files = files
        self._places = places
        self._journal = journal
        self._state = state
        self._jobs = jobs
        self._clock = clock
        self._config = Checkpoint()
        self._written: ClusterState | None = None
        self._timer: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._turn = DeferredLock()

    def changed(self) -> None:
        """Something is durable in the journal that the files do not have; write them soon."""
        if self._timer is None:
            self._timer = self._clock.callLater(PAUSE, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._under_way = Deferred.fromCoroutine(self.write())
        self._under_way.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        # The journal has it all; only the next start takes longer.
        if failure.check(OSError):
            why = failure.getErrorMessage()
            self._log.error("the checkpoint could not be written: {why}", why=why)
        else:
            self._log.failure("writing the checkpoint broke", failure)
        self.changed()

    async def write(self) -> None:
        """Write a checkpoint of what is durable now, and let the journal's older part go.

        :raises OSError: it could not be written; the one before still stands.
        """
        async with self._turn:
            mark, state = self._journal.acknowledged(), self._state()
            changed = self._jobs.take_changed()
            contents = {
                self._places.job(number): encode(job) for number, job in changed.jobs.items()
            }
            contents[self._places.serial] = b"%d\n" % self._jobs.serial
            contents[self._places.queue_version] = QUEUE_VERSION
            before = marker_at(self._files, self._places.marker)
            digests = before.config_digests[-1:]
            if state is not self._written:
                text = self._config.text(state)
                contents |= {self._places.config: text, self._places.base: text}
                digests = (digest_of(text),)
            try:
                # From here until the end, the files may hold more than the marker says for certain.
                await self._files.replace(self._places.marker, replacing(before, mark, digests))
                if access.differs(state, self._written):
                    # Before config.data: see there.
                    await self._files.replace(self._places.access, access.text(state))
                await self._files.replace_all(contents)
                for number in changed.gone:
                    await self._files.remove(self._places.job(number))
                await self._mark_drained()
                await self._files.replace(self._places.marker, complete(mark, digests))
            except OSError:
                self._jobs.give_back(changed)
                raise
            self._written = state
            await self._journal.forget(self._journal.segment_before(mark.position))

    async def whole(self) -> CheckpointFiles:
        """A checkpoint as it is now, for a candidate that lacks too much to catch up otherwise.

        :raises OSError: it cannot be read or written.
        """
        # Whoever does not want it any more must not leave it half written, without jobs that no
        # later one would have.
        await shielded(self.write())
        async with self._turn:
            marker = marker_at(self._files, self._places.marker)
            paths = [self._places.access, self._places.config]
            paths += [self._places.serial, self._places.queue_version]
            paths += [
                f"{self._places.queue}/{name}"
                for name in self._files.names(self._places.queue)
                if name.startswith("job-") or name == "drain"
            ]
            contents = {path: self._files.read(path) for path in (*paths, self._places.marker)}
            start = len(self._places.data) + 1
            files = {path[start:]: content for path, content in contents.items()}
            return CheckpointFiles(files, marker.position)

    async def _mark_drained(self) -> None:
        there = self._files.stat(self._places.drained) is not None
        if self._jobs.drained and not there:
            await self._files.replace(self._places.drained, b"", mode=0o644)
        elif there and not self._jobs.drained:
            await self._files.remove(self._places.drained)

    async def stop(self, *, write: bool = True) -> None:
        """Write a last checkpoint, unless told not to, and none after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None:
            await self._under_way
        async with self._turn:
            pass  # one is perhaps being written for a candidate that does not want it any more
        try:
            if write:
                await self.write()
        except OSError as e:
            self._log.error("the last checkpoint could not be written: {why}", why=str(e))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
