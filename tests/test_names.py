# SPDX-License-Identifier: BSD-2-Clause
"""Names are the field's terms: words that were retired do not come back (doc/glossary.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent / "ganeti"

RETIRED = frozenset(
    {
        *("reign", "spreading", "settling", "verdicts", "lean", "brake", "twins", "doorkeeper"),
        *("longest", "surroundings", "mending", "hopeless", "rulebook", "consultation", "passage"),
        *("wishes", "door", "doors", "founding", "occasional", "alterations", "underway"),
        *("catalogue",),
    }
)
"""Words of names that the project used for something that the field calls otherwise."""


def names() -> Iterator[tuple[str, str]]:
    """Yield every module, class, function, field and constant below ``ganeti``, and where it is."""
    for path in sorted(ROOT.rglob("*.py")):
        where = str(path.relative_to(ROOT))
        yield where, path.stem
        waiting: list[ast.stmt] = list(ast.parse(path.read_text()).body)
        while waiting:
            node = waiting.pop()
            match node:
                case ast.ClassDef(name):
                    yield where, name
                    waiting += node.body
                case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                    yield where, name
                case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                    yield where, name


def words(name: str) -> set[str]:
    """Split a name into its words, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


class NameTests(SynchronousTestCase):
    def test_no_name_has_a_retired_word(self) -> None:
        found = [f"{where}: {name}" for where, name in names() if words(name) & RETIRED]
        self.assertEqual(found, [])

    def test_names_are_split_into_their_words(self) -> None:
        self.assertEqual(words("_MAX_Kept"), {"max", "kept"})
        self.assertEqual(words("QmpAnswer"), {"qmp", "answer"})
        self.assertEqual(words("plan_settling"), {"plan", "settling"})
