# SPDX-License-Identifier: BSD-2-Clause
"""This node's copy of the journal and its checkpoint, from which it can become the master."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config import access
from ganeti.config.formats import loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed
from ganeti.journal.frames import commit_of
from ganeti.journal.interfaces import JournalDamaged, LogPosition
from ganeti.journal.marker import marker_at, require_one_history
from ganeti.journal.segments import NotInSegments, Segments
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class JournalCopy:
    """What a copy says: the configuration, and the mark of its last commit."""

    state: ClusterState
    mark: LogPosition

    @property
    def end(self) -> int:
        """The position of its last commit."""
        return self.mark.position


def read(files: IFiles, data: str) -> JournalCopy:
    """Read the copy below the folder ``data``, which others may write to meanwhile.

    :raises Failed: it is damaged, its files are not of one history, or there is none.
    """
    path = f"{data}/config.data"
    if files.stat(path) is None:
        raise Failed(
            f"there is no {path}: this node keeps no copy of the cluster's state. Run this on a"
            " master candidate; ssconf_master_candidates lists them",
            Code.ENVIRONMENT,
        )
    marker = marker_at(files, f"{data}/journal/checkpoint")
    state = loaded(files.read(path), ids=_no_id)
    beside = f"{data}/{access.NAME}"
    state = access.restore(state, files.read(beside) if files.stat(beside) is not None else None)
    log = Segments(files, f"{data}/journal")
    try:
        log.read_only()
        require_one_history(marker, log, data)
        for text, frame in log.frames(marker.position):
            state = apply(state, commit_of(text, frame).edits)
    except (JournalDamaged, NotInSegments) as e:
        raise Failed(str(e), Code.ENVIRONMENT) from e
    return JournalCopy(state.settled(), log.end)


def _no_id() -> str:
    raise Failed("config.data is of an older release; start the master daemon on its master once")
