# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in the journal's files, in its frames, and in checkpoints."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_FILE = "ganeti/journal/file_journal.py"
_SEGMENTS = "ganeti/journal/segments.py"
_FRAMES = "ganeti/journal/frames.py"
_CHECKPOINTS = "ganeti/master/checkpoints.py"
_STORE = "ganeti/jobs/job_store.py"

MUTANTS = (
    Mutant(
        name="journal-torn-end-stays",
        file=_SEGMENTS,
        before="""
        if self._size < len(last.data):
            await self._log.truncate(self._size)
""",
        after="",
        reason="what a crash has torn stays in the file, and the next frame is written after it",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="journal-tip-after-failure",
        file=_FILE,
        before="self._refusal, self._tip = why, self._acknowledged",
        after="self._refusal = why",
        reason="after a failed sync, the next frame follows one that was not kept",
        modes=("disk",),
        seeds=150,
    ),
    Mutant(
        name="journal-repair-keeps-refused",
        file=_FILE,
        before="""
        await self._segments.truncate_after(self._acknowledged)
        await self._segments.probe()
""",
        after="""
        await self._segments.probe()
""",
        reason="the journal accepts commits again after frames that it has refused",
        modes=("disk",),
        seeds=150,
    ),
    Mutant(
        name="journal-pending-group-lives-on",
        file=_FILE,
        before="""
        self._writing = None
        self._pending.clear()
""",
        after="""
        self._writing = None
""",
        reason="changes that were refused after a failed sync are written by the next one",
        modes=("disk",),
        seeds=150,
    ),
    Mutant(
        name="journal-acknowledges-early",
        file=_FILE,
        before="""
        await copied
        # Last: the lease may have expired during a slow disk write.
        await self._replicas.confirm_lease()
        await self._acknowledge(group)
""",
        after="""
        await self._acknowledge(group)
        await copied
        await self._replicas.confirm_lease()
""",
        reason="changes are acknowledged before the candidates have them",
        modes=(
            "partition",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="journal-acknowledges-unwritten",
        file=_FILE,
        before="""
        copied = Deferred.fromCoroutine(self._replicas.store_frames(group.after, frames, group.end))
        try:
""",
        after="""
        copied = Deferred.fromCoroutine(self._replicas.store_frames(group.after, frames, group.end))
        for mark, kept in group.waiting:
            self._acknowledged = mark
            kept.callback(None)
        group.waiting.clear()
        try:
""",
        reason="changes are acknowledged before they are on any disk",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="journal-digest-not-chained",
        file=_FRAMES,
        before="""
        after = LogPosition(after.position + 1, sha256(view[start:stop]).digest())
""",
        after="""
        after = LogPosition(after.position + 1, sha256(view[start + 12 : stop]).digest())
""",
        reason="a reader and a writer compute different digests of a frame",
        modes=("crash",),
        seeds=150,
    ),
    Mutant(
        name="journal-crc-not-checked",
        file=_FRAMES,
        before="""
    if marker != MARKER or stop > len(view) or crc32(view[start + _CRC_FROM : stop]) != crc:
""",
        after="""
    if marker != MARKER or stop > len(view):
""",
        reason="a torn frame of the right length, with a sector of zeros, is taken for a whole one",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="checkpoint-marker-first",
        file=_CHECKPOINTS,
        before="""
                    self._places.marker, encode_transition_marker(before, mark, digests)
""",
        after="""
                    self._places.marker, complete(mark, digests)
""",
        reason="after a crash the marker is ahead of the files of its checkpoint",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="checkpoint-marker-too-new",
        file=_CHECKPOINTS,
        before="await self._files.replace(self._places.marker, complete(mark, digests))",
        after="await self._files.replace(\n"
        "                    self._places.marker, complete(self._journal.acknowledged(), digests)\n"
        "                )",
        reason="commits that came while the checkpoint was written are skipped by the next start",
        modes=(
            "crash",
            "crashes",
            "succession",
        ),
        seeds=150,
    ),
    Mutant(
        name="checkpoint-forgets-jobs",
        file=_CHECKPOINTS,
        before="""
                self._jobs.restore_unwritten(changed)
                raise
""",
        after="""
                raise
""",
        reason="jobs of a checkpoint that could not be written are in no later one",
        modes=(
            "disk",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="checkpoint-abandoned",
        file=_CHECKPOINTS,
        before="        await shield_from_cancellation(self.write())",
        after="        await self.write()",
        reason="a checkpoint for a candidate that goes away is broken off, and its jobs are lost",
        modes=("departures", "membership"),
        seeds=150,
    ),
    Mutant(
        name="checkpoint-old-configuration",
        file=_CHECKPOINTS,
        before="""
                if whole and state is not self._written:
""",
        after="""
                if self._written is None:
""",
        reason="only the first checkpoint of a master has its configuration",
        modes=("plain",),
        seeds=150,
    ),
    Mutant(
        name="replay-loses-messages",
        file=_STORE,
        before="""
                self._set_job(job if old is None else job.with_logs_of(old))
""",
        after="""
                self._set_job(job)
""",
        reason="what a job has said before its last move is gone after a restart",
        modes=(
            "plain",
            "crash",
        ),
        seeds=150,
    ),
)
