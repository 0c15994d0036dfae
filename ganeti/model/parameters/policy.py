# SPDX-License-Identifier: BSD-2-Clause
"""Which instances the cluster or a node group takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.disk import Template
from ganeti.model.parameters.declaration import ParameterSet, defaults, shared
from ganeti.model.parameters.parsing import DEFAULT
from ganeti.schema.records import Record, doc
from ganeti.schema.types import MAX_INTEGER, Count

Ratio = Annotated[float, Meta(gt=0, le=MAX_INTEGER)]


class Specs(Record, rename="kebab"):
    """The size of an instance in every respect; memory and disk sizes in MiB."""

    cpu_count: Annotated[Count, doc("Virtual processors.")]
    disk_count: Annotated[Count, doc("Disks.")]
    disk_size: Annotated[Count, doc("The size of each disk.")]
    memory_size: Annotated[Count, doc("Memory.")]
    nic_count: Annotated[Count, doc("Network cards.")]
    spindle_use: Annotated[Count, doc("Disk spindles in use.")]


_LEAST = Specs(
    cpu_count=1, disk_count=1, disk_size=1024, memory_size=128, nic_count=1, spindle_use=1
)
_MAX = Specs(
    cpu_count=8, disk_count=16, disk_size=1048576, memory_size=32768, nic_count=8, spindle_use=12
)


class Range(Record):
    """A range of sizes; an instance must fit into one of the ranges of a policy."""

    max: Specs = _MAX
    min: Specs = _LEAST


class Policy(ParameterSet, rename="kebab"):
    """An instance policy."""

    disk_templates: Annotated[
        tuple[Template, ...], doc("What the disks of instances may be made of.")
    ] = tuple(sorted(Template))
    minmax: Annotated[
        tuple[Range, ...], doc("Ranges of sizes; an instance must fit into one of them.")
    ] = (Range(),)
    spindle_ratio: Annotated[Ratio, doc("Spindles in use per spindle of a node.")] = 32.0
    std: Annotated[Specs, shared("A usual instance; capacity is counted in these.")] = _LEAST
    vcpu_ratio: Annotated[Ratio, doc("Virtual processors per processor of a node.")] = 4.0

    def conflicts(self) -> list[Problem]:
        found: list[Problem] = []
        if not self.disk_templates:
            found.append(Problem("disk-templates", "must allow at least one template"))
        if not self.minmax:
            found.append(Problem("minmax", "must have at least one range"))
        for number, bounds in enumerate(self.minmax):
            found += [
                Problem(f"minmax[{number}].min.{name}", f"{low} is more than the maximum, {high}")
                for name, low, high in _beside(bounds.min, bounds.max)
                if low > high
            ]
        if self.minmax and not found:
            outside = [list(_outside(self.std, bounds)) for bounds in self.minmax]
            found = min(outside, key=len)
        return found


def with_whole_standard(given: Mapping[str, Any], holds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``given``, of which ``std`` may name only a part of a usual instance, completed.

    The rest is as in ``holds``, the policy so far with everything filled in. The word ``default``
    resets a part to what holds where nothing is set.
    """
    std = given.get("std")
    if not isinstance(std, Mapping):
        return given
    usual = defaults(Policy)["std"]
    reset = {name: usual[name] for name, value in std.items() if value == DEFAULT and name in usual}
    return {**given, "std": {**holds["std"], **std, **reset}}


def _outside(std: Specs, bounds: Range) -> Iterator[Problem]:
    """In what respects the usual instance is not one that the range takes."""
    for (name, value, low), (_, _, high) in zip(
        _beside(std, bounds.min), _beside(std, bounds.max), strict=True
    ):
        if not low <= value <= high:
            yield Problem(f"std.{name}", f"{value} is not from {low} to {high}, as minmax has it")


def _beside(one: Specs, other: Specs) -> list[tuple[str, int, int]]:
    left, right = msgspec.to_builtins(one), msgspec.to_builtins(other)
    return [(name, left[name], right[name]) for name in left]
