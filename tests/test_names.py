# SPDX-License-Identifier: BSD-2-Clause
"""Names are the field's terms: words that were retired do not come back (doc/glossary.md)."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections import Counter, defaultdict
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

RETIRED_PROSE = frozenset(
    {
        *("nobody", "somebody", "anybody", "everybody", "whoever", "anew", "thereof", "patience"),
        *("door", "doors", "stranger", "strangers", "leash", "brake", "reign"),
    }
)
"""Words of docstrings and comments that name persons where a program is meant, or are metaphors."""

VAGUE = frozenset(
    {
        *("ask", "carry", "find", "give", "hold", "keep", "look", "mend", "note", "of", "part"),
        *("say", "settle", "take", "tell", "wake"),
    }
)
"""Names of methods that do not say of what: a reader who searches for one finds all."""

MAX_SHARED_METHODS = 0.635
"""The share of public names of methods that other unrelated classes have, too."""
MAX_VAGUE_METHODS = 28
"""The unrelated classes with methods named by one of ``VAGUE``."""
MAX_SHARED_MODULES = 88
"""The names of modules that several packages have."""
SHARED_CLASSES = frozenset({"ServiceManager"})
"""The names of public classes that stand for two things."""


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


def prose() -> Iterator[tuple[str, str]]:
    """Yield every docstring, description and comment below ``ganeti``, and where it is.

    A string that is a statement by itself describes what precedes it; others are data.
    """
    for path in sorted(ROOT.rglob("*.py")):
        where, source = str(path.relative_to(ROOT)), path.read_text()
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Expr(ast.Constant(str(text))):
                    yield f"{where}:{node.lineno}", text
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield f"{where}:{token.start[0]}", token.string


def prose_words(text: str) -> set[str]:
    """Return the words of a text in lower case, without what it quotes as code."""
    return set(re.findall(r"[a-z]+", re.sub(r"``.*?``", "", text, flags=re.DOTALL).lower()))


def families_by_method() -> dict[str, set[str]]:
    """Return the families of classes that define each public method.

    A family is what bases and ``implementer`` connect inside ``ganeti``. Properties are left out.
    """
    parents: dict[str, str] = {}
    methods: dict[str, set[str]] = {}

    def head(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            name = parent
        return name

    related: list[tuple[str, str]] = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                related += ((node.name, name) for name in _names_of_bases(node))
                methods.setdefault(node.name, set()).update(_public_methods(node))
    for name, base in related:
        if base in methods:
            parents[head(name)] = head(base)
    families: dict[str, set[str]] = defaultdict(set)
    for name, defined in methods.items():
        for method in defined:
            families[method].add(head(name))
    return families


def _names_of_bases(node: ast.ClassDef) -> Iterator[str]:
    interfaces = [
        each
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "implementer"
        for each in decorator.args
    ]
    for base in (*node.bases, *interfaces):
        generic = base.value if isinstance(base, ast.Subscript) else base
        yield ast.unparse(generic).rsplit(".", 1)[-1]


def _public_methods(node: ast.ClassDef) -> set[str]:
    return {
        each.name
        for each in node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and not each.name.startswith("_")
        and not any("property" in ast.unparse(each) for each in each.decorator_list)
    }


class NameTests(SynchronousTestCase):
    def test_no_name_has_a_retired_word(self) -> None:
        found = [f"{where}: {name}" for where, name in names() if words(name) & RETIRED]
        self.assertEqual(found, [])

    def test_no_docstring_or_comment_has_a_retired_word(self) -> None:
        found = [
            f"{where}: {', '.join(sorted(prose_words(text) & RETIRED_PROSE))}"
            for where, text in prose()
            if prose_words(text) & RETIRED_PROSE
        ]
        self.assertEqual(found, [])

    def test_errors_in_docstrings_are_those_that_exist(self) -> None:
        known, raised = {*dir(builtins), "ValidationError"}, set[str]()  # the latter is msgspec's
        for path in ROOT.rglob("*.py"):
            text = path.read_text()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    known.add(node.name)
                elif isinstance(node, ast.ImportFrom):
                    known |= {each.name for each in node.names}
            raised |= {name.rpartition(".")[2] for name in re.findall(r":raises ([\w.]+):", text)}
        self.assertGreater(len(raised), 20)
        self.assertEqual(raised - known, set())

    def test_unrelated_classes_share_no_more_names_of_methods(self) -> None:
        classes = {name: len(families) for name, families in families_by_method().items()}
        shared = {name: count for name, count in classes.items() if count > 1}
        vague = {name: count for name, count in shared.items() if name in VAGUE}
        self.assertLessEqual(sum(vague.values()), MAX_VAGUE_METHODS, vague)
        self.assertLessEqual(sum(shared.values()) / sum(classes.values()), MAX_SHARED_METHODS)

    def test_packages_share_no_more_names_of_modules(self) -> None:
        modules = Counter(path.stem for path in ROOT.rglob("*.py") if path.stem != "__init__")
        shared = [name for name, count in modules.items() if count > 1]
        self.assertLessEqual(len(shared), MAX_SHARED_MODULES, sorted(shared))

    def test_public_classes_have_names_of_their_own(self) -> None:
        classes = Counter(
            node.name
            for path in ROOT.rglob("*.py")
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
        shared = {name for name, count in classes.items() if count > 1}
        self.assertLessEqual(shared, SHARED_CLASSES)

    def test_prose_is_read_without_the_code_that_it_quotes(self) -> None:
        self.assertEqual(
            prose_words("Nobody waits;\n ``whoever\n x`` does."), {"nobody", "waits", "does"}
        )

    def test_names_are_split_into_their_words(self) -> None:
        self.assertEqual(words("_MAX_Kept"), {"max", "kept"})
        self.assertEqual(words("QmpAnswer"), {"qmp", "answer"})
        self.assertEqual(words("plan_settling"), {"plan", "settling"})
