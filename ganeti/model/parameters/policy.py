# SPDX-License-Identifier: BSD-2-Clause
"""Instance policies: limits for instances of the cluster or a node group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.disk import Template
from ganeti.model.parameters.declaration import ParameterSet, defaults, shared
from ganeti.model.parameters.parsing import DEFAULT
from ganeti.schema.records import Record, doc
from ganeti.schema.types import MAX_INTEGER, Count, Value

Ratio = Annotated[float, Meta(gt=0, le=MAX_INTEGER)]


class Specs(Record, rename="kebab"):
    """Instance specs, see gnt-instance(8); memory and disk sizes in MiB."""

    cpu_count: Annotated[Count, doc("Number of virtual processors.")]
    disk_count: Annotated[Count, doc("Number of disks.")]
    disk_size: Annotated[Count, doc("Size of each disk.")]
    memory_size: Annotated[Count, doc("Memory size.")]
    nic_count: Annotated[Count, doc("Number of network cards.")]
    spindle_use: Annotated[Count, doc("Number of disk spindles in use.")]


_MIN = Specs(cpu_count=1, disk_count=1, disk_size=1024, memory_size=128, nic_count=1, spindle_use=1)
_MAX = Specs(
    cpu_count=8, disk_count=16, disk_size=1048576, memory_size=32768, nic_count=8, spindle_use=12
)


class Range(Record):
    """A range of instance specs; an instance must fit into one of the ranges of a policy."""

    max: Specs = _MAX
    min: Specs = _MIN


class Policy(ParameterSet, rename="kebab"):
    """An instance policy."""

    disk_templates: Annotated[tuple[Template, ...], doc("Allowed disk templates.")] = tuple(
        sorted(Template)
    )
    minmax: Annotated[
        tuple[Range, ...], doc("Ranges of instance specs; an instance must fit into one of them.")
    ] = (Range(),)
    spindle_ratio: Annotated[Ratio, doc("Maximum spindles in use per spindle of a node.")] = 32.0
    std: Annotated[Specs, shared("Standard instance, the unit of capacity.")] = _MIN
    vcpu_ratio: Annotated[Ratio, doc("Maximum virtual processors per CPU of a node.")] = 4.0

    def conflicts(self) -> list[Problem]:
        found: list[Problem] = []
        if not self.disk_templates:
            found.append(Problem("disk-templates", "must allow at least one template"))
        if not self.minmax:
            found.append(Problem("minmax", "must have at least one range"))
        for number, bounds in enumerate(self.minmax):
            found += [
                Problem(f"minmax[{number}].min.{name}", f"{low} is more than the maximum, {high}")
                for name, low, high in _pair_fields(bounds.min, bounds.max)
                if low > high
            ]
        if self.minmax and not found:
            outside = [list(_check_std(self.std, bounds)) for bounds in self.minmax]
            found = min(outside, key=len)
        return found


def complete_std(given: Mapping[str, Value], holds: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return ``given`` with the missing fields of its ``std`` added.

    They are taken from ``holds``, the effective policy so far. The value ``default`` resets a field
    to its built-in default.
    """
    std = given.get("std")
    if not isinstance(std, Mapping):
        return given
    usual = defaults(Policy)["std"]
    reset = {name: usual[name] for name, value in std.items() if value == DEFAULT and name in usual}
    return {**given, "std": {**holds["std"], **std, **reset}}


def _check_std(std: Specs, bounds: Range) -> Iterator[Problem]:
    """Yield a problem for each field of ``std`` that is outside ``bounds``."""
    for (name, value, low), (_, _, high) in zip(
        _pair_fields(std, bounds.min), _pair_fields(std, bounds.max), strict=True
    ):
        if not low <= value <= high:
            yield Problem(f"std.{name}", f"{value} is outside the range of minmax, {low} to {high}")


def _pair_fields(one: Specs, other: Specs) -> list[tuple[str, int, int]]:
    left, right = msgspec.to_builtins(one), msgspec.to_builtins(other)
    return [(name, left[name], right[name]) for name in left]
