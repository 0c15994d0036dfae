# SPDX-License-Identifier: BSD-2-Clause
"""Recovery of the state: the last checkpoint, and replay of later commits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ganeti.config import access_file
from ganeti.config.formats import loaded
from ganeti.config.record_codec import META_KIND
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Failed, Invalid
from ganeti.jobs.job import Job, decode
from ganeti.jobs.job_store import KINDS as JOB_KINDS
from ganeti.jobs.job_store import JobStore
from ganeti.journal.interfaces import IF_LATER_RELEASE, LATER_RELEASE, Commit, IJournal
from ganeti.journal.marker import CheckpointMarker, read_marker
from ganeti.master.access.audit_trail import KIND as AUDIT
from ganeti.master.hand_edits import HandEdits, adoption, is_edited
from ganeti.master.state_paths import StatePaths
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

_JOB_FILE = re.compile(r"\Ajob-([1-9][0-9]*)\Z")


@dataclass(frozen=True)
class RecoveredState:
    """The configuration as of the last durable commit, and manual edits of its file."""

    state: ClusterState
    edit: HandEdits | None


def recover(
    files: IFiles,
    places: StatePaths,
    journal: IJournal,
    jobs: JobStore,
    ids: Callable[[], str],
) -> RecoveredState:
    """Return the configuration as of the last durable commit, and load the jobs into ``jobs``.

    ``ids`` makes UUIDs for objects of old formats that have none.

    :raises Failed: a file of the checkpoint is missing or damaged; the message says what to do.
    :raises JournalDamaged: the journal does not verify.
    :raises Refused: ``config.data`` was edited, and the edit cannot become a commit.
    """
    marker = read_marker(files, places.marker)
    text = _read_config(files, places)
    base = _read_base(files, places, marker) if is_edited(text, marker.config_digests) else text
    beside = files.read(places.access) if files.stat(places.access) is not None else None
    first = state = _load_state(base, beside, places.config, ids)
    jobs.load(
        _read_jobs(files, places),
        _read_serial(files, places),
        files.stat(places.drained) is not None,
    )
    for position, commit in journal.replay(marker.position):
        _check_kinds(position, commit)
        try:
            state = apply(state, commit.edits)
            for edit in commit.edits:
                jobs.replay(edit)
        except (Invalid, *UNREADABLE) as e:
            raise Failed(
                f"commit {position} of the journal has an unknown form ({e}): {LATER_RELEASE}",
                Code.ENVIRONMENT,
            ) from e
    state = state.settled()
    if base is text:
        return RecoveredState(state, None)
    edited = _load_state(text, beside, places.config, ids)
    return RecoveredState(state, adoption(first, edited, state))


KINDS = frozenset((*RecordKind, META_KIND, AUDIT, *JOB_KINDS))
"""The kinds of records in the journal."""


def _check_kinds(position: int, commit: Commit) -> None:
    """Check that the kinds of records in a commit are known.

    :raises Failed: one is not; without its records, the next checkpoint would lose them.
    """
    for edit in commit.edits:
        if edit.kind not in KINDS:
            raise Failed(
                f"commit {position} of the journal has a record of the unknown kind {edit.kind}:"
                f" {LATER_RELEASE}",
                Code.ENVIRONMENT,
            )


def _read_config(files: IFiles, places: StatePaths) -> bytes:
    if files.stat(places.config) is None:
        raise Failed(
            f"{places.config} does not exist: this node is not the master of a cluster. "
            "To create a new cluster: gnt-cluster init",
            Code.ENVIRONMENT,
        )
    return files.read(places.config)


def _read_base(files: IFiles, places: StatePaths, marker: CheckpointMarker) -> bytes:
    """Return ``config.data`` as the master daemon wrote it, before the edit."""
    if files.stat(places.base) is not None:
        base = files.read(places.base)
        if not is_edited(base, marker.config_digests):
            return base
    raise Failed(
        f"{places.config} was edited, and {places.base}, the copy before the edit, is missing or"
        " was edited too. Copy the former from another master candidate or from a backup, or"
        " make another candidate the master",
        Code.ENVIRONMENT,
    )


def _load_state(
    text: bytes, beside: bytes | None, path: str, ids: Callable[[], str]
) -> ClusterState:
    """Return the state in ``config.data`` and in the file ``beside`` it."""
    try:
        return access_file.restore(loaded(text, ids=ids), beside)
    except Invalid as e:
        raise Failed(f"{path}: {e}. {IF_LATER_RELEASE}", Code.ENVIRONMENT) from e


def _read_jobs(files: IFiles, places: StatePaths) -> list[Job]:
    found = []
    for name in files.names(places.queue):
        if (number := _JOB_FILE.match(name)) is None:
            continue
        path = places.job(int(number[1]))
        try:
            found.append(decode(files.read(path)))
        except Invalid as e:
            raise Failed(
                f"{path} is damaged: {e}. Copy it from another master candidate, or remove it "
                f"to continue without the job. {IF_LATER_RELEASE}",
                Code.ENVIRONMENT,
            ) from None
    return found


def _read_serial(files: IFiles, places: StatePaths) -> int:
    if files.stat(places.serial) is None:
        return 0
    text = files.read(places.serial).strip()
    return int(text) if text.isdigit() else 0
