# SPDX-License-Identifier: BSD-2-Clause
"""Whether this Python has what the tree needs."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tools.requirements import PROJECT, check, lacking, lowest, required


class RequirementTests(SynchronousTestCase):
    def test_a_package_is_lacking_if_it_is_not_there_or_too_old(self) -> None:
        self.assertFalse(lacking("msgspec>=0.20"))
        self.assertTrue(lacking("msgspec>=1000.1"))
        self.assertTrue(lacking("no-such-package>=1"))

    def test_extras_belong_to_the_package(self) -> None:
        self.assertFalse(lacking("Twisted[tls]>=24.7"))
        self.assertTrue(lacking("Twisted[tls]>=1000.1"))

    def test_the_lowest_version_keeps_its_extras(self) -> None:
        self.assertEqual(lowest("Twisted[tls]>=26.10"), "Twisted[tls]==26.10")


class CheckTests(SynchronousTestCase):
    """What configure asks."""

    def test_a_package_that_works_is_told_with_its_version(self) -> None:
        works, told = check("msgspec", "msgspec.json")
        self.assertTrue(works)
        self.assertRegex(told, r"^\d+\.\d+")

    def test_what_does_not_work_is_told_with_the_version_that_is_needed(self) -> None:
        wanted = ["msgspec>=1000", "no-such-package>=2.5"]
        self.assertRegex(check("msgspec", "msgspec", wanted)[1], "is too old; 1000 or newer")
        self.assertRegex(check("no-such-package", "x", wanted)[1], "not installed; 2.5 or newer")

    def test_a_package_that_cannot_be_imported_does_not_work(self) -> None:
        works, told = check("msgspec", "msgspec.no_such_module")
        self.assertFalse(works)
        self.assertIn("does not work: No module named", told)

    def test_configure_looks_at_every_dependency(self) -> None:
        listed = re.findall(r"^  \[([\w.-]+), ([\w.]+)\]", _configure(), re.MULTILINE)
        names = [re.split(r"\[|>=", each)[0] for each in required()]
        self.assertEqual(sorted(name for name, _ in listed), sorted(names))
        for name, module in listed:
            self.assertTrue(check(name, module)[0], name)


def _configure() -> str:
    return (PROJECT.parent / "configure.ac").read_text()
