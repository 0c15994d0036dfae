# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IStorageUnits`` does; a subclass says which one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Code, Refused
from ganeti.storage.interfaces import IStorageUnits

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class UnitsContract(Case):
    """Two units, of which nothing is missing."""

    def setUp(self) -> None:
        self.units = self.make()
        self.names = [unit.name for unit in self.done(self.units.units())]

    def make(self) -> IStorageUnits:
        """The units."""
        raise NotImplementedError

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IStorageUnits, self.units)

    def test_units_are_sorted_and_found_by_name(self) -> None:
        self.assertEqual(self.names, sorted(self.names))
        for unit in self.done(self.units.units()):
            self.assertEqual(self.done(self.units.unit(unit.name)), unit)
            self.assertEqual((unit.used + unit.free, unit.healthy), (unit.size, True))

    def test_there_is_no_other_unit(self) -> None:
        finding = Deferred.fromCoroutine(self.units.unit("/none"))
        self.failureResultOf(finding, Refused)

    def test_a_unit_takes_new_disks_or_not_or_says_why_that_cannot_be_said(self) -> None:
        for allocatable in (False, False, True):
            setting = self.units.set_allocatable(self.names[0], allocatable)
            if self._refused(setting):
                return
            unit = self.done(self.units.unit(self.names[0]))
            self.assertEqual(unit.allocatable, allocatable)

    def test_a_repair_of_nothing_succeeds_or_says_why_there_is_none(self) -> None:
        if not self._refused(self.units.repair(self.names[0])):
            self.assertTrue(self.done(self.units.unit(self.names[0])).healthy)

    def _refused(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether this kind of storage has no such thing, which it says."""
        refusals: list[Refused] = []

        async def outcome() -> None:
            try:
                await work
            except Refused as e:
                refusals.append(e)

        self.done(outcome())
        self.assertEqual(
            [each.code for each in refusals if str(each)], [Code.INPUT] * len(refusals)
        )
        return bool(refusals)
