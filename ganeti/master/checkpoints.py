# SPDX-License-Identifier: BSD-2-Clause
"""Checkpoints: the state in the classic files, so that older segments of the journal can go.

A checkpoint is ``config.data``, the queue's files, and finally a marker with their log position.
After a crash in between, the files may be newer than the marker; replaying commits that they
already contain is harmless, because it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config import access
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.state import ClusterState
from ganeti.jobs.job import encode
from ganeti.jobs.shield import shield_from_cancellation
from ganeti.jobs.store import JobStore
from ganeti.journal.file import FileJournal
from ganeti.journal.marker import complete, encode_transition_marker, read_marker
from ganeti.master.follower import CheckpointFiles
from ganeti.master.hand_edits import digest_of
from ganeti.master.state_paths import StatePaths
from ganeti.system.interfaces import IFiles

PAUSE = 10.0
"""Seconds from the first change that is missing from the files until they are written."""

QUEUE_VERSION = b"1\n"


class Checkpoints:
    """Writes a checkpoint some time after a change, and on request."""

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
        self._config = ConfigDataEncoder()
        self._written: ClusterState | None = None
        self._timer: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._lock = DeferredLock()

    def changed(self) -> None:
        """Schedule a checkpoint because a commit is durable that the files do not contain."""
        if self._timer is None:
            self._timer = self._clock.callLater(PAUSE, self._start_write)

    def _start_write(self) -> None:
        self._timer = None
        self._under_way = Deferred.fromCoroutine(self.write())
        self._under_way.addErrback(self._on_write_failed)

    def _on_write_failed(self, failure: Failure) -> None:
        # The journal has everything; only the next start takes longer.
        if failure.check(OSError):
            why = failure.getErrorMessage()
            self._log.error("the checkpoint could not be written, will retry: {why}", why=why)
        else:
            self._log.failure("internal error while writing the checkpoint", failure)
        self.changed()

    async def write(self) -> None:
        """Write a checkpoint of the durable state; let the journal remove older segments.

        :raises OSError: the checkpoint could not be written; the previous one is still valid.
        """
        async with self._lock:
            mark, state = self._journal.acknowledged(), self._state()
            changed = self._jobs.pop_changes()
            contents = {
                self._places.job(number): encode(job) for number, job in changed.jobs.items()
            }
            contents[self._places.serial] = b"%d\n" % self._jobs.serial
            contents[self._places.queue_version] = QUEUE_VERSION
            before = read_marker(self._files, self._places.marker)
            digests = before.config_digests[-1:]
            if state is not self._written:
                text = self._config.text(state)
                contents |= {self._places.config: text, self._places.base: text}
                digests = (digest_of(text),)
            try:
                # From here on, the files may contain more than the marker guarantees.
                await self._files.replace(
                    self._places.marker, encode_transition_marker(before, mark, digests)
                )
                if access.differs(state, self._written):
                    # Before config.data; ``ganeti.config.access`` has the reason.
                    await self._files.replace(self._places.access, access.text(state))
                await self._files.replace_all(contents)
                for number in changed.gone:
                    await self._files.remove(self._places.job(number))
                await self._update_drain_file()
                await self._files.replace(self._places.marker, complete(mark, digests))
            except OSError:
                self._jobs.give_back(changed)
                raise
            self._written = state
            await self._journal.forget(self._journal.previous_segment(mark.position))

    async def whole(self) -> CheckpointFiles:
        """Return a current checkpoint, for a candidate that cannot catch up with frames alone.

        :raises OSError: the checkpoint could not be read or written.
        """
        # A cancelled caller must not leave the checkpoint half written: later ones would not
        # contain the jobs that this one has taken.
        await shield_from_cancellation(self.write())
        async with self._lock:
            marker = read_marker(self._files, self._places.marker)
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

    async def _update_drain_file(self) -> None:
        there = self._files.stat(self._places.drained) is not None
        if self._jobs.drained and not there:
            await self._files.replace(self._places.drained, b"", mode=0o644)
        elif there and not self._jobs.drained:
            await self._files.remove(self._places.drained)

    async def stop(self, *, write: bool = True) -> None:
        """Stop, after a last checkpoint unless ``write`` is false."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None:
            await self._under_way
        async with self._lock:
            pass  # a checkpoint for a candidate may still be in progress
        try:
            if write:
                await self.write()
        except OSError as e:
            self._log.error("the last checkpoint could not be written: {why}", why=str(e))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
