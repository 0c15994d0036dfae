# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tools.permissions import DOCUMENT, with_table


class DocumentTests(SynchronousTestCase):
    def test_the_document_has_the_table_that_the_calls_declare(self) -> None:
        document = DOCUMENT.read_text()
        hint = "run python -m tools.permissions"
        self.assertEqual(document, with_table(document), hint)
