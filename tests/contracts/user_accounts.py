# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IAccounts`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.system.interfaces import HostUser, IAccounts

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class AccountsContract(Case):
    """Accounts with root, and with none that is called ``nowhere-to-be-found``."""

    def accounts(self) -> IAccounts:
        raise NotImplementedError

    def find(self, who: str | int) -> HostUser | None:
        accounts = self.accounts()
        work = accounts.find(who) if isinstance(who, str) else accounts.find_by_id(who)
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IAccounts, self.accounts())

    def test_root_is_found_by_name_and_by_number(self) -> None:
        self.assertEqual(self.find("root"), HostUser(0, 0))
        self.assertEqual(self.find(0), HostUser(0, 0))

    def test_others_are_not_found(self) -> None:
        self.assertIsNone(self.find("nowhere-to-be-found"))
        self.assertIsNone(self.find((1 << 31) + 12345))
