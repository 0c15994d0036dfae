# SPDX-License-Identifier: BSD-2-Clause
"""Lists that follow the event stream: ``gnt-instance list --watch``.

Events tell which rows may have changed, and only these are queried again. On a terminal the list is
repainted; elsewhere rows are printed as lines when they have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ganeti.cli import output
from ganeti.cli.event_polling import WAIT_SECONDS, ask_with_retries
from ganeti.cli.session import INTERRUPTED, UNKNOWN_FIELD, ExitTool
from ganeti.luxi.methods import Query, WaitForEvents

if TYPE_CHECKING:
    from ganeti.cli.command import Arguments
    from ganeti.cli.session import Session

SETTLE_SECONDS = 0.2
"""Delay between an event and the query, in seconds, so that many events cost one query."""

MAX_NARROWED = 200
"""Number of changed objects above which the whole list is queried again."""

Cells = Sequence[Sequence[Any]]


class EventDependencies(NamedTuple):
    """The kinds of events that a list depends on.

    Those ``by_name`` are about single rows; the ``others`` may concern all rows.
    """

    by_name: frozenset[str]
    others: frozenset[str]


DEPENDENCIES: Mapping[str, EventDependencies] = {
    "instance": EventDependencies(
        frozenset(("instance", "disk")), frozenset(("node", "group", "network", "cluster"))
    ),
    "node": EventDependencies(frozenset(("node",)), frozenset(("instance", "group", "cluster"))),
    "group": EventDependencies(
        frozenset(("group",)), frozenset(("node", "instance", "network", "cluster"))
    ),
    "network": EventDependencies(
        frozenset(("network",)), frozenset(("group", "instance", "cluster"))
    ),
    "image": EventDependencies(frozenset(("image",)), frozenset(("node", "instance"))),
    "job": EventDependencies(frozenset(("job",)), frozenset()),
}
"""The lists that can be watched."""


class Change(NamedTuple):
    """The keys of rows that are new or different, and of those that are gone."""

    changed: Sequence[Any]
    removed: Sequence[Any]


class Rows:
    """The rows of a list by key, as they were last answered. ``fields`` are their definitions."""

    def __init__(self) -> None:
        self.fields: Sequence[Mapping[str, str]] = ()
        self.by_key: dict[Any, Cells] = {}

    def update(self, answer: Mapping[str, Any], asked: Iterable[Any] | None) -> Change:
        """Apply an answer, whose last column is the key; ``asked`` are the keys, None for all."""
        self.fields = answer["fields"][:-1]
        found = {row[-1][1]: row[:-1] for row in answer["data"]}
        old = self.by_key
        removed = [
            key for key in (old if asked is None else asked) if key in old and key not in found
        ]
        changed = [key for key, row in found.items() if old.get(key) != row]
        if asked is None:
            self.by_key = found
        else:
            self.by_key = {key: row for key, row in {**old, **found}.items() if key not in removed}
        return Change(changed, removed)

    def lacks(self, answer: Mapping[str, Any]) -> bool:
        """Return whether an answer has rows that are new."""
        return any(row[-1][1] not in self.by_key for row in answer["data"])

    def answer(self, keys: Iterable[Any] | None = None) -> dict[str, Any]:
        """Return the rows with these keys, or all, in the form of an answer."""
        chosen = self.by_key if keys is None else keys
        return {"fields": self.fields, "data": [self.by_key[key] for key in chosen]}


def watch_list(
    session: Session,
    arguments: Arguments,
    query: Query,
    *,
    key: str,
    as_json: bool,
    shows: Mapping[str, output.Show],
) -> int:
    """Show the objects that ``query`` finds, and their changes until the user interrupts it."""
    rows = Rows()
    style = {
        "separator": arguments.get("separator"),
        "units": arguments.get("units"),
        "verbose": bool(arguments.get("verbose")),
        "shows": shows,
    }
    headers = not arguments.get("no_headers")
    show: Callable[[Rows, Change], None]
    if as_json:
        show = _JsonLines(session, key)
    elif session.terminal_size() is not None:
        show = _Screen(session, headers, style)
    else:
        show = _TextLines(session, headers, style)
    try:
        _follow(session, query, key, rows, show)
    except KeyboardInterrupt:
        return INTERRUPTED
    raise AssertionError("watching ends by an interrupt or an error only")


def _follow(
    session: Session, query: Query, key: str, rows: Rows, show: Callable[[Rows, Change], None]
) -> None:
    kinds = DEPENDENCIES[query.what]
    with_key = Query(what=query.what, fields=(*query.fields, key), qfilter=query.qfilter)
    # Before the query: a change in between is seen twice rather than missed.
    position = session.ask(WaitForEvents())["position"]
    answer = session.ask(with_key)
    if unknown := output.unknown(answer):
        raise ExitTool(UNKNOWN_FIELD, f"unknown field {', '.join(unknown)}; see list-fields")
    show(rows, rows.update(answer, None))
    while True:
        wait = WaitForEvents(
            since=position,
            timeout=WAIT_SECONDS,
            kinds=(*sorted(kinds.by_name), *sorted(kinds.others)),
        )
        page = ask_with_retries(session, wait)
        position = page["position"]
        keys = None if page["reset"] else find_changed(query.what, page["events"])
        if keys is not None and not keys:
            continue
        session.sleep(SETTLE_SECONDS)
        answer = ask_with_retries(session, _narrow(with_key, key, keys))
        if keys is not None and rows.lacks(answer) and query.what != "job":
            # A new row has its place in the order of the list. Those of jobs are at the end.
            answer, keys = ask_with_retries(session, with_key), None
        change = rows.update(answer, keys)
        if change.changed or change.removed:
            show(rows, change)


def find_changed(what: str, events: Sequence[Mapping[str, Any]]) -> set[Any] | None:
    """Return the keys of the rows that may have changed; None if any row may have."""
    by_name = DEPENDENCIES[what].by_name
    found: set[Any] = set()
    for event in events:
        if event["kind"] not in by_name:
            return None
        if what == "job":
            # Messages change no row.
            if event["action"] != "message":
                found.add(int(event["name"]))
        elif event["name"] is None:
            return None
        else:
            found |= {event["name"], *event.get("names", ())}
    return found if len(found) <= MAX_NARROWED else None


def _narrow(query: Query, key: str, keys: set[Any] | None) -> Query:
    """Return the query for the rows with these keys only."""
    if keys is None:
        return query
    named = ["|", *(["=", key, each] for each in sorted(keys))]
    narrowed = named if query.qfilter is None else ["&", query.qfilter, named]
    return Query(what=query.what, fields=query.fields, qfilter=narrowed)


class _Screen:
    """Repaints the list on a terminal, as far as it fits."""

    def __init__(self, session: Session, headers: bool, style: Mapping[str, Any]) -> None:
        self._session = session
        self._headers = headers
        self._style = style
        self._cleared = False

    def __call__(self, rows: Rows, change: Change) -> None:
        columns, height = self._session.terminal_size() or (80, 24)
        lines = list(output.listing(rows.answer(), headers=self._headers, **self._style))
        if len(lines) >= height:
            hidden = len(lines) - (height - 2)
            lines = [*lines[: height - 2], f"… {hidden} more; use a filter, or a larger terminal"]
        painted = "".join(f"{line[:columns]}\x1b[K\n" for line in lines)
        # Home, the lines, each cleared behind its text, and nothing below.
        start = "\x1b[H" if self._cleared else "\x1b[2J\x1b[H"
        self._cleared = True
        self._session.show(f"{start}{painted}\x1b[J")


class _TextLines:
    """Prints rows as lines of text, first all, then those that have changed."""

    def __init__(self, session: Session, headers: bool, style: Mapping[str, Any]) -> None:
        self._session = session
        self._headers = headers
        self._style = style
        self._widths: Sequence[int] = ()

    def __call__(self, rows: Rows, change: Change) -> None:
        answer = rows.answer(change.changed)
        table, self._widths = output.aligned(answer, self._widths, **self._style)
        lines = list(table)
        if not self._headers:
            del lines[0]
        self._headers = False
        between = self._style["separator"] or " "
        lines += [f"{key}{between}removed" for key in change.removed]
        self._session.show("".join(f"{line}\n" for line in lines))


class _JsonLines:
    """Prints rows as JSON objects, one on a line."""

    def __init__(self, session: Session, key: str) -> None:
        self._session = session
        self._key = key

    def __call__(self, rows: Rows, change: Change) -> None:
        found: list[Any] = output.objects(rows.answer(change.changed))
        found += [{self._key: key, "removed": True} for key in change.removed]
        self._session.show("".join(output.as_json(each, indent=0) + "\n" for each in found))
