# SPDX-License-Identifier: BSD-2-Clause
"""This node's copy of the journal and its checkpoint, from which it can become the master."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config import access_file
from ganeti.config.formats import loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed
from ganeti.journal.frames import commit_of
from ganeti.journal.interfaces import JournalDamaged, LogPosition
from ganeti.journal.marker import check_same_history, read_marker
from ganeti.journal.segments import PositionNotFound, Segments
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class JournalCopy:
    """The content of a copy: the configuration, and the log position of its last commit."""

    state: ClusterState
    mark: LogPosition

    @property
    def end(self) -> int:
        """The position of the last commit."""
        return self.mark.position


def read(files: IFiles, data: str) -> JournalCopy:
    """Read the copy below the folder ``data``, while other processes may write it.

    :raises Failed: the copy is damaged or incomplete, or its files have different histories.
    """
    path = f"{data}/config.data"
    if files.stat(path) is None:
        raise Failed(
            f"{path} does not exist: this node has no copy of the cluster's state. Run this on a"
            " master candidate; ssconf_master_candidates lists them",
            Code.ENVIRONMENT,
        )
    # Before the files: if these are replaced meanwhile, they have more than it says, and commits
    # can be applied again.
    marker = read_marker(files, f"{data}/journal/checkpoint")
    state = loaded(files.read(path), ids=_refuse_old_format)
    beside = f"{data}/{access_file.NAME}"
    state = access_file.restore(
        state, files.read(beside) if files.stat(beside) is not None else None
    )
    log = Segments(files, f"{data}/journal")
    try:
        log.open_read_only()
        check_same_history(marker, log, data)
        for text, frame in log.frames(marker.position):
            state = apply(state, commit_of(text, frame).edits)
    except (JournalDamaged, PositionNotFound) as e:
        raise Failed(str(e), Code.ENVIRONMENT) from e
    return JournalCopy(state.settled(), log.end)


def _refuse_old_format() -> str:
    raise Failed(
        "config.data has an older format; start the master daemon on its master once to upgrade it"
    )
