# SPDX-License-Identifier: BSD-2-Clause
"""The names of objects that a word on a command line may be, asked of the master."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from ganeti.cli.output import objects
from ganeti.luxi.methods import (
    Query,
    QueryAccess,
    QueryBackupRepositories,
    QueryBackups,
    QueryBackupSchedules,
    QueryFields,
    QueryInstances,
    QueryNotifications,
    QueryTags,
    Request,
)

R = TypeVar("R")

MAX_NAMES = 2000
"""A shell lists no more of them; it takes longer than a person waits."""


class Ask(Protocol):
    """Asks the master; :meth:`ganeti.cli.session.Session.ask` does."""

    def __call__(self, request: Request[R]) -> R: ...


class LiveNames:
    """The names of objects of a cluster, by the kind of word that names one."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def find_names(self, kind: str, prefix: str, owner: str = "", of: str = "") -> list[str]:
        """Return the names of a kind that begin with ``prefix``, sorted; none if it is unknown.

        ``owner`` is the object that the named one belongs to, and ``of`` its kind. Of more than
        ``MAX_NAMES``, a selection is returned that has the first and the last, so that what all
        have in common is the same.

        :raises GanetiError: the master does not answer.
        """
        return thin_out(sorted({name for name in self._names(kind, prefix, owner, of) if name}))

    def _names(self, kind: str, prefix: str, owner: str, of: str) -> Iterable[str]:
        if kind in _QUERIED:
            what, field = _QUERIED[kind]
            begins = None if kind == "job-id" else ["=~", field, f"^{re.escape(prefix)}"]
            rows = self._ask(Query(what=what, fields=(field,), qfilter=begins if prefix else None))
            names = [str(row[field]) for row in objects(rows)]
        elif kind == "tag":
            names = self._tags(owner, of)
        elif kind in _SPECIAL:
            names = _SPECIAL[kind](self._ask, owner)
        else:
            names = []
        return [name for name in names if name.startswith(prefix)]

    def _tags(self, owner: str, of: str) -> list[str]:
        if of == "cluster":
            return self._ask(QueryTags(kind="cluster"))
        if owner:
            return self._ask(QueryTags(kind=_TAG_KINDS.get(of, of), name=owner))
        rows = objects(self._ask(Query(what=of, fields=("tags",))))
        return [tag for row in rows for tag in row["tags"] or ()]


def thin_out(names: list[str]) -> list[str]:
    """Return at most ``MAX_NAMES`` of the sorted names, among them the first and the last."""
    if len(names) <= MAX_NAMES:
        return names
    last = MAX_NAMES - 1
    return [names[i * (len(names) - 1) // last] for i in range(MAX_NAMES)]


_QUERIED: Mapping[str, tuple[str, str]] = {
    "filter-uuid": ("filter", "uuid"),
    "group": ("group", "name"),
    "image": ("image", "name"),
    "instance": ("instance", "name"),
    "job-id": ("job", "id"),
    "network": ("network", "name"),
    "node": ("node", "name"),
    "provider": ("extstorage", "name"),
}
"""Kinds of words, and the object and field to query for them."""

_TAG_KINDS: Mapping[str, str] = {"group": "nodegroup"}


def _systems(ask: Ask, _: str) -> list[str]:
    """Return the OS definitions, each with its variants."""
    rows = objects(ask(Query(what="os", fields=("name", "variants"))))
    found = []
    for row in rows:
        variants = row["variants"] or ()
        found += [f"{row['name']}+{variant}" for variant in variants] or [row["name"]]
    return found


def _definitions(ask: Ask, _: str) -> list[str]:
    return [row["name"] for row in objects(ask(Query(what="os", fields=("name",))))]


def _fields(ask: Ask, what: str) -> list[str]:
    answer: Any = ask(QueryFields(what=what))
    return [field["name"] for field in answer["fields"]]


def _snapshots(ask: Ask, instance: str) -> list[str]:
    rows = ask(QueryInstances(names=(instance,), fields=("snapshots",)))
    return [snapshot["name"] for [snapshots] in rows for snapshot in snapshots or ()]


def _column(request: Callable[[], Request[Any]], column: str) -> Callable[[Ask, str], list[str]]:
    return lambda ask, _: [str(row[column]) for row in ask(request())]


def _backups(ask: Ask, repository: str) -> list[str]:
    return [str(row["id"]) for row in ask(QueryBackups(repository=repository))]


def _all_backups(ask: Ask, _: str) -> list[str]:
    return [f"{row['repository']}/{row['id']}" for row in ask(QueryBackups())]


_SPECIAL: Mapping[str, Callable[[Ask, str], list[str]]] = {
    "backup-id": _backups,
    "field": _fields,
    "notification": _column(QueryNotifications, "name"),
    "os": _definitions,
    "os[+variant]": _systems,
    "repository": _column(QueryBackupRepositories, "name"),
    "repository/id": _all_backups,
    "role-id": _column(lambda: QueryAccess(what="roles"), "id"),
    "schedule": _column(QueryBackupSchedules, "name"),
    "session-id": _column(lambda: QueryAccess(what="sessions"), "id"),
    "snapshot": _snapshots,
    "token-id": _column(lambda: QueryAccess(what="tokens"), "id"),
    "user": _column(lambda: QueryAccess(what="users"), "name"),
}
