# SPDX-License-Identifier: BSD-2-Clause
"""Parsers for the JSON reports of lvm2; sizes are in MiB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganeti.errors import Code, Failed

OWNER_TAG = "originstname+"
"""The prefix of the tag with the name of the instance that a volume was created for."""

# The default units depend on the size and on the host's lvm.conf.
_FORMAT = ("--reportformat", "json", "--units", "m", "--nosuffix", "-o")
_VOLUME_FIELDS = (
    "vg_name,lv_name,lv_size,lv_attr,lv_tags,lv_kernel_major,lv_kernel_minor,pool_lv,data_percent"
    ",metadata_percent"
)
VOLUMES = (
    "lvs",
    *_FORMAT,
    _VOLUME_FIELDS,
)
GROUPS = ("vgs", *_FORMAT, "vg_name,vg_size,vg_free,vg_attr")
DEVICES = ("pvs", *_FORMAT, "pv_name,vg_name,pv_size,pv_free,pv_used,pv_attr")


@dataclass(frozen=True, kw_only=True)
class ThinPool:
    """What only a thin pool has: how much of it is used, in percent, None while it is inactive.

    ``zeroes`` is whether blocks are zeroed before a volume gets them.
    """

    data: float | None = None
    metadata: float | None = None
    zeroes: bool = True


@dataclass(frozen=True, kw_only=True)
class LogicalVolume:
    """A logical volume; ``partial`` means that one of its devices is missing.

    ``pool`` is the name of the thin pool that it takes its space from; ``thin`` is set for the pool
    itself.
    """

    group: str
    name: str
    size: int
    active: bool
    opened: bool
    partial: bool
    owner: str = ""
    major: int | None = None
    minor: int | None = None
    pool: str = ""
    thin: ThinPool | None = None

    @property
    def path(self) -> str:
        return f"/dev/{self.group}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class VolumeGroup:
    """A volume group; ``partial`` means that one of its devices is missing."""

    name: str
    size: int
    free: int
    partial: bool


@dataclass(frozen=True, kw_only=True)
class PhysicalVolume:
    """A physical volume; ``group`` is empty if it belongs to none."""

    name: str
    group: str
    size: int
    free: int
    used: int
    allocatable: bool
    missing: bool


def parse_logical_volumes(report: bytes) -> list[LogicalVolume]:
    return [_parse_logical_volume(row) for row in _parse_rows(report, "lv")]


def parse_volume_groups(report: bytes) -> list[VolumeGroup]:
    # In lvs(8), vgs(8) and pvs(8), each letter of an attribute has a fixed position.
    return [
        VolumeGroup(
            name=row["vg_name"],
            size=_parse_mib(row["vg_size"]),
            free=_parse_mib(row["vg_free"]),
            partial=_get_flag(row["vg_attr"], 3) == "p",
        )
        for row in _parse_rows(report, "vg")
    ]


def parse_physical_volumes(report: bytes) -> list[PhysicalVolume]:
    return [
        PhysicalVolume(
            name=row["pv_name"],
            group=row["vg_name"],
            size=_parse_mib(row["pv_size"]),
            free=_parse_mib(row["pv_free"]),
            used=_parse_mib(row["pv_used"]),
            allocatable=_get_flag(row["pv_attr"], 0) == "a",
            missing=_get_flag(row["pv_attr"], 2) == "m",
        )
        for row in _parse_rows(report, "pv")
    ]


def _parse_logical_volume(row: Mapping[str, str]) -> LogicalVolume:
    tags = row["lv_tags"].split(",")
    # The tags of a volume without tags are an empty string.
    owners = [tag.removeprefix(OWNER_TAG) for tag in tags if tag.startswith(OWNER_TAG)]
    return LogicalVolume(
        group=row["vg_name"],
        name=row["lv_name"],
        size=_parse_mib(row["lv_size"]),
        # X means unknown, as the kernel was not queried; treat it as active.
        active=_get_flag(row["lv_attr"], 4) in "aX",
        opened=_get_flag(row["lv_attr"], 5) == "o",
        partial=_get_flag(row["lv_attr"], 8) == "p",
        owner=owners[0] if owners else "",
        major=_parse_number(row["lv_kernel_major"]),
        minor=_parse_number(row["lv_kernel_minor"]),
        pool=row["pool_lv"],
        thin=_parse_thin_pool(row) if _get_flag(row["lv_attr"], 0) == "t" else None,
    )


def _parse_thin_pool(row: Mapping[str, str]) -> ThinPool:
    return ThinPool(
        data=_parse_percent(row["data_percent"]),
        metadata=_parse_percent(row["metadata_percent"]),
        zeroes=_get_flag(row["lv_attr"], 7) == "z",
    )


def _parse_rows(report: bytes, kind: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(report)
        return [row for part in document["report"] for row in part.get(kind, ())]
    # A report is the output of a program: it may be cut off, or come from another version.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = report[:200].decode("utf-8", "replace")
        raise Failed(f"lvm2 returned an unreadable report: {text!r}", Code.ENVIRONMENT) from None


def _parse_mib(text: str) -> int:
    # Rounded down, so that what is shown as free can be allocated.
    return int(float(text)) if text else 0


def _parse_percent(text: str) -> float | None:
    return float(text) if text else None


def _get_flag(attributes: str, position: int) -> str:
    return attributes[position : position + 1] or "-"


def _parse_number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
