# SPDX-License-Identifier: BSD-2-Clause
"""Handlers of the calls for storage units, and for volumes of any owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.rpc import storage as calls
from ganeti.storage.interfaces import IStorageUnits, IVolumes


class StorageUnits:
    """The storage units of this node by kind, and the volumes of its drivers by template."""

    def __init__(
        self, units: Mapping[str, IStorageUnits], drivers: Mapping[Template, IVolumes]
    ) -> None:
        self._units = units
        self._drivers = drivers

    async def show(self, call: calls.ListStorageCall) -> list[calls.ReportedStorageUnit]:
        units = self._find_driver(call.kind)
        found = await units.units() if call.name is None else [await units.unit(call.name)]
        return [calls.ReportedStorageUnit(**asdict(unit)) for unit in found]

    async def modify(self, call: calls.ModifyStorageCall) -> None:
        await self._find_driver(call.kind).set_allocatable(call.name, call.allocatable)

    async def repair(self, call: calls.RepairStorageCall) -> None:
        await self._find_driver(call.kind).repair(call.name)

    async def volumes(self, call: calls.ListVolumesCall) -> list[calls.StoredVolume]:
        if call.template not in self._drivers:
            raise Refused(f"this node has no driver for {call.template} disks", Code.INPUT)
        found = await self._drivers[call.template].volumes()
        return [calls.StoredVolume(**asdict(volume)) for volume in found]

    def _find_driver(self, kind: str) -> IStorageUnits:
        if kind not in self._units:
            raise Refused(
                f"this node has no storage of type {kind}; available:"
                f" {', '.join(sorted(self._units))}",
                Code.INPUT,
            )
        return self._units[kind]
