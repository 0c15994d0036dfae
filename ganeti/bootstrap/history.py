# SPDX-License-Identifier: BSD-2-Clause
"""The history of changes, read from the journal without the master."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec

from ganeti.bootstrap.blocking_files import local_files
from ganeti.errors import Refused
from ganeti.journal.interfaces import Commit, Delete, Edit
from ganeti.journal.log_reader import history as commits
from ganeti.paths import Paths

_BOOKKEEPING = frozenset({"config", "job", "job-log", "queue"})
"""Kinds of records that every operation changes."""


def history(paths: Paths, *, everything: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the changes in this node's journal, oldest first: author, time, reason, objects.

    Without ``everything``, only changes of the configuration.

    :raises Refused: this node has no journal.
    :raises JournalDamaged: the journal does not verify.
    """
    names: dict[tuple[str, str], str] = {}
    for position, commit in _read_commits(paths):
        changed = [
            _describe_edit(edit, names)
            for edit in commit.edits
            if everything or edit.kind not in _BOOKKEEPING
        ]
        if changed:
            yield {
                "number": position,
                "time": commit.at,
                "who": commit.who,
                "job": commit.job,
                "why": commit.why,
                "changed": changed,
            }


def checked(paths: Paths) -> dict[str, int]:
    """Verify the journal of this node; return the number of commits, and the first and last one.

    :raises Refused: this node has no journal.
    :raises JournalDamaged: the journal does not verify; the message names the place.
    """
    first = last = count = 0
    for last, _ in _read_commits(paths):
        first, count = first or last, count + 1
    return {"commits": count, "first": first, "last": last}


def _read_commits(paths: Paths) -> Iterator[tuple[int, Commit]]:
    if not os.path.isdir(paths.journal):
        raise Refused(
            f"{paths.journal} does not exist; only the master and its candidates have a journal"
        )
    return commits(local_files(), paths.journal)


def _describe_edit(edit: Edit, names: dict[tuple[str, str], str]) -> str:
    """Return the object that an edit changes, by name if known; ``names`` caches names by key."""
    key = edit.kind, edit.key
    if isinstance(edit, Delete):
        return f"{edit.kind} {names.pop(key, edit.key)} (removed)"
    written = msgspec.json.decode(edit.value)
    if edit.kind == "audit":
        denied = "denied to" if written.get("denied") else "by"
        return f"{written['what']} {denied} {written['who']} {written.get('how', '')}".rstrip()
    if isinstance(written, dict):
        name = written.get("name") or written.get("cluster_name")
        if isinstance(name, str):
            names[key] = name
    return f"{edit.kind} {names.get(key, edit.key)}"
