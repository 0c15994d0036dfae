# SPDX-License-Identifier: BSD-2-Clause
"""``Any``, which switches the checks of types off, does not spread."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent / "ganeti"

MOST = 300
"""How often ``Any`` may be written. Use ``object`` for what is only passed on, a union or a record
where the shape is known, and otherwise the aliases that have a reason: ``JsonValue``, ``Value``,
``FieldValues``, ``Document``, ``Row``.
"""


def count_any(tree: ast.AST) -> int:
    """Return how often ``Any`` is used, besides being imported."""
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree))


class AnyTests(SynchronousTestCase):
    def test_it_is_written_where_no_other_type_will_do(self) -> None:
        found: Counter[str] = Counter()
        for path in ROOT.rglob("*.py"):
            found[path.relative_to(ROOT).parts[0]] += count_any(ast.parse(path.read_text()))
        self.assertLessEqual(found.total(), MOST, found.most_common())

    def test_each_use_counts(self) -> None:
        text = "from typing import Any\nx: dict[str, Any]\ndef f(y: Any) -> Any: ..."
        self.assertEqual(count_any(ast.parse(text)), 3)
