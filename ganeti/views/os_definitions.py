# SPDX-License-Identifier: BSD-2-Clause
"""Things that are installed on nodes and useful where all of them have it: by name, by node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ganeti.views.snapshot import natural


class IDefinition(Protocol):
    """A definition as one node sees it; ``diagnosis`` says what is wrong if it is not valid."""

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


def gathered(said: Mapping[str, Iterable[D] | None]) -> dict[str, dict[str, list[D]]]:
    """Definitions by name and node, from what nodes said by name; None did not answer.

    Every node that answered is there for every name, if only to say that it has none of it. Of
    several of one name on a node, the first hides the others.
    """
    answered = {node: list(each) for node, each in said.items() if each is not None}
    names = {each.name for definitions in answered.values() for each in definitions}
    return {
        name: {
            node: [each for each in answered[node] if each.name == name]
            for node in sorted(answered, key=natural)
        }
        for name in sorted(names, key=natural)
    }


def first_ones(nodes: Mapping[str, Sequence[D]]) -> list[D]:
    """What counts on each node that has the definition."""
    return [definitions[0] for definitions in nodes.values() if definitions]


def is_good_on_all(nodes: Mapping[str, Sequence[D]]) -> bool:
    """Whether every node has the definition, and it works there."""
    return bool(nodes) and all(each and each[0].valid for each in nodes.values())


def common(definitions: Sequence[D], of: Callable[[D], Iterable[H]]) -> list[H]:
    """What all of ``definitions`` have, in the order of the first."""
    if not definitions:
        return []
    first, *others = ([*of(each)] for each in definitions)
    return [each for each in first if all(each in other for other in others)]
