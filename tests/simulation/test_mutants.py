# SPDX-License-Identifier: BSD-2-Clause
"""The list of planted bugs keeps up with the code that they are planted in."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.mutants.catalog import MUTANTS
from tests.simulation.mutants.mutant import Mutant
from tests.simulation.seeds import ALL

ROOT = Path(__file__).parents[2]


class MutantTests(SynchronousTestCase):
    def test_each_is_in_code_that_is_there_once_and_gives_code(self) -> None:
        stale = []
        for mutant in MUTANTS:
            try:
                planted = mutant.planted_in((ROOT / mutant.file).read_text())
                compile(planted, mutant.file, "exec")
            except (OSError, ValueError, SyntaxError) as e:
                stale.append(str(e))
        self.assertEqual(stale, [])

    def test_each_has_a_name_of_its_own_and_modes_that_there_are(self) -> None:
        self.assertEqual(len({mutant.name for mutant in MUTANTS}), len(MUTANTS))
        self.assertEqual({mode for mutant in MUTANTS for mode in mutant.modes} - set(ALL), set())

    def test_code_that_is_there_twice_or_not_at_all_is_refused(self) -> None:
        mutant = Mutant(
            name="m", file="f.py", before="\na = 1\n", after="", reason="r", modes=("plain",)
        )
        self.assertEqual(mutant.planted_in("a = 1\nb = 2\n"), "b = 2\n")
        with self.assertRaisesRegex(ValueError, "m: f.py has its code 2 times"):
            mutant.planted_in("a = 1\na = 1\n")
        with self.assertRaisesRegex(ValueError, "m: f.py has its code 0 times"):
            mutant.planted_in("b = 2\n")
