# SPDX-License-Identifier: BSD-2-Clause
"""The open files of the remote API are enough for its clients, or clients get fewer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.rapi_services.open_files import RESERVED_FILES, FileBudget, divide_files
from ganeti.luxi.async_client import MAX_WAITING
from ganeti.web.site import MAX_HANDSHAKES


class FileBudgetTests(SynchronousTestCase):
    def test_with_enough_files_all_clients_are_served(self) -> None:
        files = 1000 + MAX_WAITING + MAX_HANDSHAKES + RESERVED_FILES
        self.assertEqual(divide_files(files, 1000), FileBudget(1000, MAX_WAITING, MAX_HANDSHAKES))

    @given(st.integers(RESERVED_FILES + 4, 100_000), st.integers(1, 100_000))
    def test_no_more_files_are_allotted_than_there_are(self, files: int, wanted: int) -> None:
        budget = divide_files(files, wanted)
        self.assertGreater(min(budget.clients, budget.waiting, budget.handshakes), 0)
        used = budget.clients + budget.waiting + budget.handshakes + RESERVED_FILES
        self.assertLessEqual(used, files)
        self.assertLessEqual(budget.clients, wanted)
