# SPDX-License-Identifier: BSD-2-Clause
"""Volumes in memory keep the contract, and misbehave as told."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.storage.interfaces import IStorageUnits, IVolumes, StorageUnit
from ganeti.testing.builders import a_disk
from ganeti.testing.storage import MemoryUnits, MemoryVolumes
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import CopiesContract, VolumesContract


class MemoryVolumesTests(VolumesContract, CopiesContract, SynchronousTestCase):
    def make(self) -> IVolumes:
        return MemoryVolumes(room=1024)


class MemoryUnitsTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        return MemoryUnits(*(StorageUnit(name=name, size=10, free=4, used=6) for name in "ba"))


class TroubleTests(SynchronousTestCase):
    def test_an_operation_fails_for_as_long_as_it_is_told_to(self) -> None:
        volumes = MemoryVolumes()
        volumes.trouble["create"] = Failed("the disk is broken")
        creating = volumes.create(a_disk(), owner="web1", primary=True)
        self.failureResultOf(Deferred.fromCoroutine(creating), Failed)
        self.assertEqual(volumes.held, {})
