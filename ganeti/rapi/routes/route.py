# SPDX-License-Identifier: BSD-2-Clause
"""A route: the path of a resource, and the verbs of its methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ganeti.rapi.verbs import Verb

MAX_NUMBERS = {"job_id": 10**15 - 1, "disk": 15}
"""Path variables that are numbers, and their maxima."""


@dataclass(frozen=True)
class Route:
    """A resource; each ``{variable}`` of its path stands for one segment."""

    path: str
    verbs: Mapping[str, Verb]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path.split("/")[1:])

    @cached_property
    def variables(self) -> tuple[str, ...]:
        return tuple(each[1:-1] for each in self.segments if each.startswith("{"))

    @cached_property
    def allowed(self) -> str:
        """The allowed methods, as in the header ``Allow``."""
        methods = {*self.verbs, "OPTIONS"} | ({"HEAD"} if "GET" in self.verbs else set())
        return ", ".join(sorted(methods))

    @cached_property
    def source(self) -> str:
        """The name of the resource in reason trails, such as ``instances_name_startup``."""
        words = ("" if s == "{disk}" else "name" if s[:1] == "{" else s for s in self.segments[1:])
        name = "_".join(filter(None, words)).replace("-", "_")
        return name.replace("jobs_name", "jobs_id").replace("filters_name", "filters_uuid")
