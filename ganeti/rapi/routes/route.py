# SPDX-License-Identifier: BSD-2-Clause
"""A route: the path of a resource, and what its methods do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from urllib.parse import unquote

from ganeti.errors import Invalid
from ganeti.rapi.problems import Problematic
from ganeti.rapi.verbs import Verb

DIGITS = {"job_id": 10**15 - 1, "disk": 15}
"""Variables that stand for numbers, and the largest that they can be."""


@dataclass(frozen=True)
class Route:
    """A resource; ``{variables}`` of its path stand for one segment each."""

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
        """The methods, as in the header ``Allow``."""
        methods = {*self.verbs, "OPTIONS"} | ({"HEAD"} if "GET" in self.verbs else set())
        return ", ".join(sorted(methods))

    @cached_property
    def source(self) -> str:
        """What reason trails call the resource: ``instances_name_startup``."""
        words = ("" if s == "{disk}" else "name" if s[:1] == "{" else s for s in self.segments[1:])
        name = "_".join(filter(None, words)).replace("-", "_")
        return name.replace("jobs_name", "jobs_id").replace("filters_name", "filters_uuid")


@dataclass(frozen=True)
class Match:
    """A route, and what stands in its path for the variables."""

    route: Route
    path: Mapping[str, str]


class _Branch:
    """A place in the tree of paths."""

    def __init__(self) -> None:
        self.named: dict[str, _Branch] = {}
        self.variable: _Branch | None = None
        self.route: Route | None = None

    def grow(self, segment: str) -> _Branch:
        """The branch for a segment of a declared path."""
        if not segment.startswith("{"):
            return self.named.setdefault(segment, _Branch())
        self.variable = self.variable or _Branch()
        return self.variable


class Router:
    """Finds the route of a path; the last paths are remembered, as clients ask again and again."""

    MOST_REMEMBERED = 2048

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Branch()
        for route in routes:
            branch = self._root
            for segment in route.segments:
                branch = branch.grow(segment)
            if branch.route is not None:
                raise ValueError(f"{route.path} is declared twice")
            branch.route = route
        self._found: dict[str, Match] = {}

    def find(self, path: str) -> Match:
        """The route of ``path``, as it was sent.

        :raises Problematic: there is none.
        :raises Invalid: the path cannot be decoded.
        """
        if path in self._found:
            return self._found[path]
        match = self._search(path)
        if len(self._found) >= self.MOST_REMEMBERED:
            self._found.clear()
        self._found[path] = match
        return match

    def _search(self, path: str) -> Match:
        branch: _Branch | None = self._root
        values = []
        for sent in path.split("/")[1:]:
            segment = _decoded(sent)
            assert branch is not None
            if segment in branch.named:
                branch = branch.named[segment]
            else:
                branch = branch.variable if segment else None
                values.append(segment)
            if branch is None:
                raise _nothing(path)
        if branch is None or branch.route is None:
            raise _nothing(path)
        variables = dict(zip(branch.route.variables, values, strict=True))
        for name, value in variables.items():
            if name in DIGITS and not _number(value) <= DIGITS[name]:
                raise _nothing(path)
        return Match(branch.route, variables)


def _number(text: str) -> float:
    """The number that digits spell; more than any other if it is none, or very long."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else math.inf


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise Invalid("the path is not UTF-8") from None


def _nothing(path: str) -> Problematic:
    return Problematic(HTTPStatus.NOT_FOUND, f"there is nothing at {path}; GET /2 lists what is")
