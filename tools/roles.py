# SPDX-License-Identifier: BSD-2-Clause
"""Writes the table of ``doc/access.md``: which role may call which method of the remote API.

``python -m tools.roles`` puts the table, as the routes declare it, into the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ganeti.model.users import Role
from ganeti.rapi.method_roles import table as permissions
from ganeti.rapi.routes.route_table import ROUTES

DOCUMENT = Path(__file__).parent.parent / "doc" / "access.md"
BEGIN, END = "<!-- begin: python -m tools.roles -->\n", "<!-- end -->\n"


def table() -> str:
    """Return the table in Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    yield ("resource", "method", *Role, "limited viewer", "limited operator")
    yield ("---",) * (len(Role) + 4)
    for path, method, needs in permissions(ROUTES):
        whole = ("yes" if role.includes(needs.role) else "" for role in Role)
        some = (
            "yes" if needs.limited and role.includes(needs.role) else ""
            for role in (Role.VIEWER, Role.OPERATOR)
        )
        yield (f"`{path}`", method, *whole, *some)


def with_table(document: str) -> str:
    """Return the document with the table as it is now."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
