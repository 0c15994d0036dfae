# SPDX-License-Identifier: BSD-2-Clause
"""Definitions that must be installed on all nodes, grouped by name and node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ganeti.views.snapshot import natural_key


class IDefinition(Protocol):
    """A definition on one node; ``diagnosis`` is the problem if it is not valid."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def valid(self) -> bool: ...
    @property
    def diagnosis(self) -> str: ...
    @property
    def parameters(self) -> Sequence[tuple[str, str]]: ...


D = TypeVar("D", bound=IDefinition)
H = TypeVar("H", bound=Hashable)


def group_by_name(said: Mapping[str, Iterable[D] | None]) -> dict[str, dict[str, list[D]]]:
    """Group the nodes' definitions by name, then by node; None stands for a missing answer.

    Each node that answered has an entry for each name, which may be empty. If a node has several
    definitions of one name, only the first is effective.
    """
    answered = {node: list(each) for node, each in said.items() if each is not None}
    names = {each.name for definitions in answered.values() for each in definitions}
    return {
        name: {
            node: [each for each in answered[node] if each.name == name]
            for node in sorted(answered, key=natural_key)
        }
        for name in sorted(names, key=natural_key)
    }


def effective_definitions(nodes: Mapping[str, Sequence[D]]) -> list[D]:
    """Return the effective definition of each node that has one."""
    return [definitions[0] for definitions in nodes.values() if definitions]


def is_valid_on_all(nodes: Mapping[str, Sequence[D]]) -> bool:
    """Return whether each node has a valid definition."""
    return bool(nodes) and all(each and each[0].valid for each in nodes.values())


def common(definitions: Sequence[D], of: Callable[[D], Iterable[H]]) -> list[H]:
    """Return the items that all ``definitions`` have, in the order of the first."""
    if not definitions:
        return []
    first, *others = ([*of(each)] for each in definitions)
    return [each for each in first if all(each in other for other in others)]
