# SPDX-License-Identifier: BSD-2-Clause
"""Words are corrected by one change."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.schema.typing_errors import MAX_LENGTH, list_corrections


class CorrectionTests(SynchronousTestCase):
    def test_each_kind_of_error_is_corrected(self) -> None:
        for wrong in ("wbe1", "web", "webb1", "wev1", "1web1", "Web1"):
            self.assertIn("web1", list(list_corrections(wrong)), wrong)

    def test_two_errors_are_not(self) -> None:
        self.assertNotIn("web1", list(list_corrections("wbe2")))

    def test_an_empty_word_is_completed(self) -> None:
        self.assertIn("a", list(list_corrections("")))

    def test_the_number_of_candidates_is_limited_by_the_length_of_the_word(self) -> None:
        self.assertEqual(list(list_corrections("a" * (MAX_LENGTH + 1))), [])
        self.assertLess(len(list(list_corrections("a" * MAX_LENGTH))), 10_000)
