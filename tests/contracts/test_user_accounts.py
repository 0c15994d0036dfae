# SPDX-License-Identifier: BSD-2-Clause
"""Users of this host, and their double in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.interfaces import IAccounts
from ganeti.system.user_accounts import LocalAccounts
from ganeti.testing.local_users import MemoryAccounts
from tests.contracts.test_files import at_once
from tests.contracts.user_accounts import AccountsContract


class MemoryAccountsTests(AccountsContract, SynchronousTestCase):
    def accounts(self) -> IAccounts:
        return MemoryAccounts()


class LocalAccountsTests(AccountsContract, SynchronousTestCase):
    def accounts(self) -> IAccounts:
        return LocalAccounts(at_once)
