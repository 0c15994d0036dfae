# SPDX-License-Identifier: BSD-2-Clause
"""Which user QEMU gets; ``tests.contracts.test_hypervisor`` has guests that start with one."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.qemu_user import QemuUser, QemuUsers, Ranges, parse_ranges
from ganeti.model.parameters.kvm import Kvm
from ganeti.system.interfaces import HostUser
from ganeti.testing.local_users import MemoryAccounts

POOL = Kvm(security_model="pool")


class ChoiceTests(SynchronousTestCase):
    def choose(
        self,
        kvm: Kvm,
        in_use: Collection[int] = (),
        pool: Ranges = ((7, 8),),
        *,
        privileged: bool = True,
    ) -> Deferred[QemuUser | None]:
        accounts = MemoryAccounts({"seven": HostUser(7, 70)})
        users = QemuUsers(accounts, lambda: pool, privileged=privileged)
        return Deferred.fromCoroutine(users.choose(kvm, lambda: in_use))

    def test_root_is_the_user_by_default(self) -> None:
        self.assertIsNone(self.successResultOf(self.choose(Kvm())))

    def test_the_first_free_user_of_the_pool_is_taken_with_its_group(self) -> None:
        self.assertEqual(self.successResultOf(self.choose(POOL)), QemuUser(7, 70))
        self.assertEqual(self.successResultOf(self.choose(POOL, {0, 7})), QemuUser(8, 65534))

    def test_a_user_that_another_guest_has_got_meanwhile_is_passed_over(self) -> None:
        taken: list[int] = []

        class SlowAccounts(MemoryAccounts):
            async def find_by_id(self, user: int) -> HostUser | None:
                if user == 7:
                    taken.append(user)
                return None

        users = QemuUsers(SlowAccounts(), lambda: ((7, 8),), privileged=True)
        found = Deferred.fromCoroutine(users.choose(POOL, lambda: taken))
        self.assertEqual(self.successResultOf(found), QemuUser(8, 65534))

    def test_a_daemon_without_powers_gives_none_away(self) -> None:
        refusal = self.failureResultOf(self.choose(POOL, privileged=False), Refused)
        self.assertIn("run it as root, or set security_model=none", str(refusal.value))
        self.assertIsNone(self.successResultOf(self.choose(Kvm(), privileged=False)))

    def test_root_is_never_taken_from_a_pool(self) -> None:
        # Ganeti accepts such a range.
        refusal = self.failureResultOf(self.choose(POOL, pool=((0, 0),)), Refused)
        self.assertIn("all user IDs for guests are in use", str(refusal.value))


class RangesTests(SynchronousTestCase):
    def test_a_line_is_a_range_or_a_number(self) -> None:
        self.assertEqual(parse_ranges("5\n100-200\n"), [(5, 5), (100, 200)])
        self.assertEqual(parse_ranges("\n".strip()), [])

    def test_other_lines_are_refused(self) -> None:
        for text in ("a", "1-b", "-"):
            with self.assertRaises(ValueError):
                parse_ranges(text)
