# SPDX-License-Identifier: BSD-2-Clause
"""Checkpoints: the state in the classic files, so that older segments of the journal can go.

A checkpoint is ``config.data``, the queue's files, and finally a marker with their log position.
After a crash in between, the files may be newer than the marker; replaying commits that they
already contain is harmless, because it changes nothing.

The queue's files cost what has changed and are written soon. ``config.data`` is written as a whole,
and therefore only after a number of commits in proportion to its size, so that its share in the
cost of a commit is the same in a cluster of any size; the next start replays these commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config import access_file
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.state import ClusterState
from ganeti.jobs.job import encode
from ganeti.jobs.job_store import JobStore, UnwrittenJobs
from ganeti.jobs.shield import shield_from_cancellation
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.marker import complete, encode_transition_marker, read_marker
from ganeti.master.follower import CheckpointFiles
from ganeti.master.state_paths import StatePaths
from ganeti.system.interfaces import IFiles

PAUSE = 10.0
"""Seconds from the first change that is missing from the files until they are written."""

OBJECTS_PER_COMMIT = 4
"""``config.data`` is written again when it lacks one commit for each four objects.

Writing an object takes about a hundredth of the time that a commit takes.
"""

MAX_AGE = 600.0
"""Seconds within which ``config.data`` is written after a commit, for backups of it alone."""

LARGE_PIECE = 64 << 10
"""Bytes of ``config.data`` after which other work has a turn."""

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
        self._written_at = 0  # the position of the commit that config.data contains
        self._timer: IDelayedCall | None = None
        self._config_timer: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._lock = DeferredLock()

    def schedule(self) -> None:
        """Schedule a checkpoint because a commit is durable that the files do not contain."""
        if self._timer is None:
            self._timer = self._clock.callLater(PAUSE, self._start_write)

    def _start_write(self) -> None:
        self._timer = None
        self._under_way = Deferred.fromCoroutine(self._write_if_due())
        self._under_way.addErrback(self._on_write_failed)

    async def _write_if_due(self) -> None:
        """Write the queue's files, and the configuration if it lacks many commits."""
        lacking = self._journal.acknowledged().position - self._written_at
        objects = sum(len(same) for same in self._state().objects.values())
        # Always at first: the file may have been edited, or be from before a failover.
        if self._written is None or lacking * OBJECTS_PER_COMMIT >= objects:
            await self._write(whole=True)
            return
        await self._write(whole=False)
        if self._config_timer is None:
            self._config_timer = self._clock.callLater(MAX_AGE, self._start_whole_write)

    def _start_whole_write(self) -> None:
        self._config_timer = None
        self._under_way = Deferred.fromCoroutine(self.write())
        self._under_way.addErrback(self._on_write_failed)

    def _on_write_failed(self, failure: Failure) -> None:
        # The journal has everything; only the next start takes longer.
        if failure.check(OSError):
            why = failure.getErrorMessage()
            self._log.error("the checkpoint could not be written, will retry: {why}", why=why)
        else:
            self._log.failure("internal error while writing the checkpoint", failure)
        self.schedule()

    async def write(self) -> None:
        """Write a checkpoint of the durable state; let the journal remove older segments.

        :raises OSError: the checkpoint could not be written; the previous one is still valid.
        """
        await self._write(whole=True)

    async def _write(self, *, whole: bool) -> None:
        """Write the queue's files, and if ``whole`` the configuration."""
        async with self._lock:
            # All at once: no file may have what is in commits after the marker.
            mark, state = self._journal.acknowledged(), self._state()
            changed = self._jobs.pop_changes()
            before = read_marker(self._files, self._places.marker)
            digests = before.config_digests[-1:]
            more: dict[str, bytes] = {}
            try:
                if whole and state is not self._written:
                    text, digest = await self._encode(state)
                    more = {self._places.config: text, self._places.base: text}
                    digests = (digest,)
                # From here on, the files may contain more than the marker guarantees.
                await self._files.replace(
                    self._places.marker, encode_transition_marker(before, mark, digests)
                )
                if whole and access_file.differs(state, self._written):
                    # Before config.data; ``ganeti.config.access_file`` has the reason.
                    await self._files.replace(self._places.access, access_file.text(state))
                await self._replace_queue(changed, more)
                # The marker stays as it is: ``config.data`` lacks what the queue's files have.
                if not whole:
                    return
                await self._files.replace(self._places.marker, complete(mark, digests))
            except OSError:
                self._jobs.restore_unwritten(changed)
                raise
            self._written, self._written_at = state, mark.position
            if self._config_timer is not None:
                self._config_timer.cancel()
                self._config_timer = None
            await self._journal.remove_before(self._journal.previous_segment(mark.position))

    async def _encode(self, state: ClusterState) -> tuple[bytes, str]:
        """Return the content of ``config.data`` and its digest.

        A large file is encoded in several turns, so that no other work is delayed.
        """
        pieces, digest = [], sha256()
        for piece in self._config.pieces(state):
            pieces.append(piece)
            digest.update(piece)
            if not piece or len(piece) > LARGE_PIECE:
                await deferLater(self._clock, 0)
        return b"".join(pieces), digest.hexdigest()

    async def _replace_queue(self, changed: UnwrittenJobs, more: Mapping[str, bytes]) -> None:
        """Replace the files of changed jobs, and ``more`` files together with them."""
        contents = {self._places.job(number): encode(job) for number, job in changed.jobs.items()}
        contents[self._places.serial] = b"%d\n" % self._jobs.serial
        contents[self._places.queue_version] = QUEUE_VERSION
        await self._files.replace_all({**contents, **more})
        for number in changed.gone:
            await self._files.remove(self._places.job(number))
        await self._update_drain_file()

    async def whole(self) -> CheckpointFiles:
        """Return a current checkpoint, for a candidate that cannot catch up with frames alone.

        :raises OSError: the checkpoint could not be read or written.
        """
        # A cancelled caller must not leave the checkpoint half written: later ones would not
        # contain the jobs that this one has taken.
        await shield_from_cancellation(self.write())
        async with self._lock:
            marker = read_marker(self._files, self._places.marker)
            return CheckpointFiles(read_state_files(self._files, self._places), marker.position)

    async def _update_drain_file(self) -> None:
        there = self._files.stat(self._places.drained) is not None
        if self._jobs.drained and not there:
            await self._files.replace(self._places.drained, b"", mode=0o644)
        elif there and not self._jobs.drained:
            await self._files.remove(self._places.drained)

    async def stop(self, *, write: bool = True) -> None:
        """Stop, after a last checkpoint unless ``write`` is false."""
        self._cancel_timers()
        if self._under_way is not None:
            await self._under_way
        async with self._lock:
            pass  # a checkpoint for a candidate may still be in progress
        try:
            if write:
                await self.write()
        except OSError as e:
            self._log.error("the last checkpoint could not be written: {why}", why=str(e))
        self._cancel_timers()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._config_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._config_timer = None


def read_state_files(files: IFiles, places: StatePaths) -> Mapping[str, bytes]:
    """Return the files of the checkpoint that exist, by name below the data folder.

    :raises OSError: a file could not be read.
    """
    paths = [places.access, places.config, places.serial, places.queue_version]
    paths += [
        f"{places.queue}/{name}"
        for name in files.names(places.queue)
        if name.startswith("job-") or name == "drain"
    ]
    start = len(places.data) + 1
    there = (path for path in (*paths, places.marker) if files.stat(path) is not None)
    return {path[start:]: files.read(path) for path in there}
