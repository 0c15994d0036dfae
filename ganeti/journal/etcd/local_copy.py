# SPDX-License-Identifier: BSD-2-Clause
"""The copy of the state on this host, which a new master first makes equal to the log in etcd.

From then on it is an ordinary journal with its checkpoint, so that start, history and events work
as with the file journal. What only this copy has was never acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.journal.checkpoint_files import MARKER, replace_checkpoint_files
from ganeti.journal.etcd.etcd_store import EtcdStore, StoredLog
from ganeti.journal.frames import scan
from ganeti.journal.interfaces import JournalDamaged, LogPosition, Position
from ganeti.journal.marker import check_same_history, read_marker
from ganeti.journal.segments import PositionNotFound, Segments
from ganeti.system.interfaces import IFiles

CONFIG = "config.data"

_log = Logger()


async def update(files: IFiles, data: str, store: EtcdStore, log: StoredLog) -> None:
    """Make the copy below ``data`` equal to ``log``; replace it if it has another history.

    :raises Failed: the log in etcd is damaged, or its checkpoint.
    :raises OSError: the copy could not be written.
    """
    ends = _verify(log)
    segments = Segments(files, f"{data}/journal")
    common = await _find_common_position(files, data, segments, ends)
    if common is None:
        # Before anything is removed: if etcd does not answer, the copy stays as it is.
        contents, at = await store.read_checkpoint()
        await segments.clear()
        await replace_checkpoint_files(files, data, contents, at)
        await segments.start_log(at)
        common = at
        _log.info(
            "the state on this host was replaced by that in etcd, of commit {n}", n=at.position
        )
    elif common != segments.end:
        _log.warn(
            "commits {first} to {last} were never acknowledged, and are removed from this host",
            first=common.position + 1,
            last=segments.end.position,
        )
        await segments.truncate_after(common)
    if common.position < log.end.position:
        _, stop = ends[common.position]
        await segments.write(log.frames[stop:], log.end)
    await segments.close()


def _verify(log: StoredLog) -> Mapping[Position, tuple[LogPosition, int]]:
    """Return the log positions in the log, each with the offset at which its frame ends.

    :raises Failed: the log is damaged.
    """
    ends = {log.after.position: (log.after, 0)}
    try:
        for frame in scan(log.frames, log.after, source="the log in etcd"):
            ends[frame.mark.position] = frame.mark, frame.stop
    except JournalDamaged as e:
        raise _damaged(str(e)) from None
    found = ends.get(log.end.position)
    if found is None or found != (log.end, len(log.frames)):
        raise _damaged(f"it does not end with commit {log.end.position}, as its head says")
    if ends.get(log.checkpoint.position, (None, 0))[0] != log.checkpoint:
        raise _damaged(f"it does not contain the checkpoint of commit {log.checkpoint.position}")
    return ends


def _damaged(why: str) -> Failed:
    return Failed(
        f"the log in etcd is damaged: {why}. Restore etcd from a snapshot", Code.ENVIRONMENT
    )


async def _find_common_position(
    files: IFiles,
    data: str,
    segments: Segments,
    ends: Mapping[Position, tuple[LogPosition, int]],
) -> LogPosition | None:
    """Return the last position that copy and log have in common; None if the copy is unusable.

    It is usable only if its checkpoint contains no commit that the log does not have.
    """
    try:
        await segments.open()
        marker = read_marker(files, f"{data}/{MARKER}")
        check_same_history(marker, segments, data)
        first = min(ends)
        here = {segments.base_position(): segments.find_log_position(segments.base_position())}
        if segments.base_position() < first <= segments.end.position:
            here[first] = segments.find_log_position(first)
        start = max(first, segments.base_position())
        here |= {frame.mark.position: frame.mark for _, frame in segments.frames(start)}
    except (JournalDamaged, PositionNotFound, Failed) as e:
        _log.warn("the state on this host cannot be used: {why}", why=str(e))
        return None
    common = [mark for position, mark in here.items() if ends.get(position, (None, 0))[0] == mark]
    # The beginning says nothing: it is the same in all clusters.
    if not common or common[-1].position < max(1, marker.newest.position):
        return None
    return common[-1] if files.stat(f"{data}/{CONFIG}") is not None else None
