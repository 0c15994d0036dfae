# SPDX-License-Identifier: BSD-2-Clause
"""Refusals that several operations share: their words, and the codes that clients get."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import RecordKind
from ganeti.errors import Code
from ganeti.operations.refusals import (
    COMPRESSION_UNSUPPORTED,
    already_exists,
    marked_offline,
    not_stopped,
    nothing_to_change,
)


class RefusalTests(SynchronousTestCase):
    def test_clients_get_the_code_of_each_refusal(self) -> None:
        for refusal, code in (
            (nothing_to_change(), Code.INPUT),
            (already_exists(RecordKind.NETWORK, "lan"), Code.EXISTS),
            (marked_offline("web1"), Code.STATE),
            (not_stopped("web1"), Code.STATE),
        ):
            self.assertEqual(refusal.arguments(), [str(refusal), code.value])

    def test_each_names_its_object_and_what_to_do(self) -> None:
        for refusal, words in (
            (nothing_to_change(), "give at least one parameter"),
            (already_exists(RecordKind.NETWORK, "lan"), "network lan already exists; choose"),
            (marked_offline("web1"), "gnt-instance modify --online web1"),
            (not_stopped("web1"), "gnt-instance shutdown web1"),
        ):
            self.assertIn(words, str(refusal))

    def test_a_problem_with_compression_has_the_path_of_the_parameter(self) -> None:
        self.assertTrue(str(COMPRESSION_UNSUPPORTED).startswith("compress: must be none"))
