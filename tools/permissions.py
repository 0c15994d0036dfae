# SPDX-License-Identifier: BSD-2-Clause
"""Writes the table of ``doc/security.md``: which callers of a node may make which call.

``python -m tools.permissions`` puts the table, as the calls declare it, into the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ganeti import rpc
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL
from ganeti.rpc.call import Call
from ganeti.rpc.callers import CallerRole
from ganeti.rpc.quorum import RequestVote

DOCUMENT = Path(__file__).parent.parent / "doc" / "security.md"
BEGIN, END = "<!-- begin: python -m tools.permissions -->\n", "<!-- end -->\n"

_NOTES: dict[type[Call[Any]], str] = {
    RequestVote: "each candidate for itself",
}


def calls() -> list[type[Call[Any]]]:
    """Return every call to nodes, by its name on the wire."""
    for module in iter_modules(rpc.__path__, "ganeti.rpc."):
        import_module(module.name)
    found = (each for each in Call.__subclasses__() if each.__module__.startswith("ganeti.rpc."))
    return sorted(found, key=lambda call: call.wire)


def table() -> str:
    """Return the table in Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    yield ("call", *CallerRole, "remarks")
    yield ("---",) * (len(CallerRole) + 2)
    for name in (AUTHORITY_CALL, ENROL_CALL):
        yield (f"`{name}`", *("yes" for _ in CallerRole), "with a token" * (name == ENROL_CALL))
    for call in calls():
        allowed = ("yes" if role in call.callers else "" for role in CallerRole)
        yield (f"`{call.wire}`", *allowed, _remark(call))


def _remark(call: type[Call[Any]]) -> str:
    return "from the master's own node only" if call.local_only else _NOTES.get(call, "")


def with_table(document: str) -> str:
    """Return the document with the table as it is now."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
