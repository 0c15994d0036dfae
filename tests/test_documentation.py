# SPDX-License-Identifier: BSD-2-Clause
"""What the pages of ``doc`` name is in the tree: files, links, and the names in tables of files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command_options import all_options
from tests.golden.command_table import tools

TREE = Path(__file__).parent.parent
PAGES = sorted([*TREE.joinpath("doc").rglob("*.md"), TREE / "README.md", TREE / "CONTRIBUTING.md"])
EXTENDING = TREE / "doc" / "extending.md"
ATTACKS = TREE / "doc" / "attacks.md"

_PATH = re.compile(r"`((?:ganeti|tests|tools|doc|man|daemons|ui)/[\w./-]+)`")
_LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")
_ROW = re.compile(r"^\| `([\w./-]+)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
"""A row of a table of files: the file, what it has, and names that are in it."""
_EXAMPLES = ("ganeti/x/", "tests/x/", "ganeti/storage/NAME.py")
_GENERATED = "ganeti/_configured.py"


def paths(page: str) -> Iterator[str]:
    """Yield the paths from the top of the tree that a page names, but for placeholders."""
    found = (path.rstrip(".") for path in _PATH.findall(page))
    yield from (path for path in found if not path.startswith((*_EXAMPLES, _GENERATED)))


def rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the files of the tables of a page, with the names that the last column has."""
    for path, names in _ROW.findall(page):
        yield path, re.findall(r"`([\w.]+)`", names)


def typed(page: str) -> Iterator[list[str]]:
    """Yield the words of the commands that a page has an administrator type."""
    for line in re.findall(r"^    [#$] (.+)$", page, re.MULTILINE):
        yield line.split()


class DocumentationTests(SynchronousTestCase):
    def test_files_that_are_named_exist(self) -> None:
        missing = [
            f"{page.name}: {path}"
            for page in PAGES
            for path in paths(page.read_text())
            if not (TREE / path).exists()
        ]
        self.assertEqual(missing, [])

    def test_links_lead_to_files(self) -> None:
        broken = [
            f"{page.name}: {link}"
            for page in PAGES
            for link in _LINK.findall(page.read_text())
            if not (page.parent / link).exists()
        ]
        self.assertEqual(broken, [])

    def test_the_files_of_an_example_have_its_names(self) -> None:
        found = list(rows(EXTENDING.read_text()))
        self.assertGreater(len(found), 40)
        wrong = [
            f"{path} has no {name}"
            for path, names in found
            for name in names
            if not re.search(rf"\b{re.escape(name)}\b", (TREE / path).read_text())
        ]
        self.assertEqual(wrong, [])

    def test_each_attack_is_tried_by_a_test_that_exists(self) -> None:
        attacks = re.findall(
            r"^\| (?!attack |-)(.+?) \|[^|]+\| (.+) \|$", ATTACKS.read_text(), re.MULTILINE
        )
        self.assertGreater(len(attacks), 40)
        for attack, tried in attacks:
            found = re.findall(r"`(\w[\w./]+\.(?:py|js))`: ((?:`[^`]+`(?:, )?)+)", tried)
            self.assertTrue(found, attack)
            for path, names in found:
                text = (TREE / path).read_text()
                for name in re.findall(r"`([^`]+)`", names):
                    shape = rf"def {name}\(" if path.endswith(".py") else rf'test\("[^"]*{name}'
                    self.assertTrue(re.search(shape, text), f"{attack}: {path} has no {name}")

    def test_commands_to_type_and_their_options_exist(self) -> None:
        known = {tool.name: tool for tool in tools()}
        pages = [page.read_text() for page in PAGES]
        found = [words for page in pages for words in typed(page) if words[0] in known]
        self.assertGreater(len(found), 10)
        for name, command, *words in found:
            # Some have two words: gnt-access user add.
            declared = known[name].command(command) or known[name].command(f"{command} {words[0]}")
            assert declared is not None, f"{name} {command}"
            flags = {flag for option in all_options(declared) for flag in option.flags}
            unknown = {word for word in words if word.startswith("--")} - flags
            self.assertEqual(unknown, set(), f"{name} {command}")

    def test_every_page_is_in_the_list_of_the_readme(self) -> None:
        readme = (TREE / "README.md").read_text() + (TREE / "doc" / "architecture.md").read_text()
        unlisted = [page.name for page in PAGES if page.name not in readme and page.parent != TREE]
        self.assertEqual(unlisted, [])
