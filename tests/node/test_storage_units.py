# SPDX-License-Identifier: BSD-2-Clause
"""Calls about storage units reach the units of the kind."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.node.storage_units import StorageUnits
from ganeti.rpc import storage as calls
from ganeti.storage.interfaces import StorageUnit
from ganeti.testing.storage import Held, MemoryUnits, MemoryVolumes

T = TypeVar("T")


class UnitsTests(SynchronousTestCase):
    def setUp(self) -> None:
        units = (StorageUnit(name=name, size=100, free=40, used=60, group="vg0") for name in "ba")
        self.devices, self.plain = MemoryUnits(*units), MemoryVolumes()
        self.units = StorageUnits({"lvm-pv": self.devices}, {Template.PLAIN: self.plain})

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def names(self, name: str | None = None) -> list[str]:
        call = calls.ListStorageCall(kind="lvm-pv", name=name)
        return [unit.name for unit in self.done(self.units.show(call))]

    def test_all_units_or_one_are_listed(self) -> None:
        self.assertEqual((self.names(), self.names("b")), (["a", "b"], ["b"]))

    def test_a_unit_takes_no_more_disks(self) -> None:
        call = calls.ModifyStorageCall(kind="lvm-pv", name="a", allocatable=False)
        self.done(self.units.modify(call))
        found = self.done(self.units.show(calls.ListStorageCall(kind="lvm-pv")))
        self.assertEqual([unit.allocatable for unit in found], [False, True])

    def test_a_unit_is_repaired(self) -> None:
        self.devices.broken.add("a")
        self.done(self.units.repair(calls.RepairStorageCall(kind="lvm-pv", name="a")))
        self.assertEqual(self.devices.broken, set())

    def test_volumes_are_listed_with_their_owners(self) -> None:
        self.plain.held = {"vg0/one": Held(64, "web1", attached=True)}
        [found] = self.done(self.units.volumes(calls.ListVolumesCall()))
        expected = calls.StoredVolume(
            name="vg0/one", size=64, attached=True, opened=False, owner="web1"
        )
        self.assertEqual(found, expected)

    def test_what_the_node_does_not_have_is_refused(self) -> None:
        for work in (
            self.units.show(calls.ListStorageCall(kind="tape")),
            self.units.volumes(calls.ListVolumesCall(template=Template.RBD)),
        ):
            error = self.failureResultOf(Deferred.fromCoroutine(work), Refused).value
            assert isinstance(error, Refused)
            self.assertEqual(error.code, Code.INPUT)
