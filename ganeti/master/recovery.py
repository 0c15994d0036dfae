# SPDX-License-Identifier: BSD-2-Clause
"""Coming back: the last checkpoint, and what the journal says has happened since."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ganeti.config import access
from ganeti.config.formats import loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid
from ganeti.jobs.job import Job, decode
from ganeti.jobs.store import JobStore
from ganeti.journal.in_sync import marker_at, recorded
from ganeti.journal.interfaces import IJournal
from ganeti.master.places import Places
from ganeti.system.interfaces import IFiles

_JOB_FILE = re.compile(r"\Ajob-([1-9][0-9]*)\Z")


@dataclass(frozen=True)
class Recovered:
    """The configuration, and the candidates, by UUID, that had every acknowledged commit."""

    state: ClusterState
    in_sync: frozenset[str]


def recover(
    files: IFiles,
    places: Places,
    journal: IJournal,
    jobs: JobStore,
    ids: Callable[[], str],
) -> Recovered:
    """Everything as it was when the last commit was made durable; the jobs are put into ``jobs``.

    ``ids`` makes UUIDs for objects of old formats that have none.

    :raises Failed: a file of the checkpoint is missing or damaged; says what to do.
    :raises Damaged: the journal does not verify.
    """
    state = _configuration(files, places, ids)
    jobs.load(_jobs(files, places), _serial(files, places), files.stat(places.drained) is not None)
    marker = marker_at(files, places.marker)
    in_sync = frozenset(marker.in_sync)
    for _, commit in journal.replay(marker.position):
        state = apply(state, commit.edits)
        in_sync = recorded(commit.edits, in_sync)
        for edit in commit.edits:
            jobs.replay(edit)
    return Recovered(state.settled(), in_sync)


def _configuration(files: IFiles, places: Places, ids: Callable[[], str]) -> ClusterState:
    if files.stat(places.config) is None:
        raise Failed(
            f"there is no {places.config}: this node is not the master of a cluster. "
            "To make a new cluster: gnt-cluster init",
            Code.ENVIRONMENT,
        )
    try:
        state = loaded(files.read(places.config), ids=ids)
        there = files.stat(places.access) is not None
        return access.restore(state, files.read(places.access) if there else None)
    except Invalid as e:
        raise Failed(f"{places.config}: {e}", Code.ENVIRONMENT) from e


def _jobs(files: IFiles, places: Places) -> list[Job]:
    found = []
    for name in files.names(places.queue):
        if (number := _JOB_FILE.match(name)) is None:
            continue
        path = places.job(int(number[1]))
        try:
            found.append(decode(files.read(path)))
        except (Invalid, msgspec.DecodeError) as e:
            raise Failed(
                f"{path} is damaged: {e}. Copy it from another master candidate, or move it away "
                "to go on without the job",
                Code.ENVIRONMENT,
            ) from None
    return found


def _serial(files: IFiles, places: Places) -> int:
    if files.stat(places.serial) is None:
        return 0
    text = files.read(places.serial).strip()
    return int(text) if text.isdigit() else 0
