# SPDX-License-Identifier: BSD-2-Clause
"""Tags of the cluster, its nodes, groups, instances and networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ganeti.config.changes.objects import current
from ganeti.config.state import KINDS, ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.schema.records import replace
from ganeti.schema.types import Tag

Taggable = Cluster | Node | Group | Instance | Network

MOST = 4096
"""How many tags one object may carry."""


def tags_checked(tags: Sequence[str]) -> tuple[str, ...]:
    """These tags, sorted and each once.

    :raises Invalid: with each text that cannot be a tag, or if they are too many for one object.
    """
    found = [Problem(f"tags[{i}]", _RULE.format(tag)) for i, tag in enumerate(tags) if not _is(tag)]
    different = tuple(sorted(set(tags)))
    if len(different) > MOST:
        found.append(Problem("tags", f"an object can carry {MOST} tags, not {len(different)}"))
    if found:
        raise Invalid(found)
    return different


def add_tags(record: Taggable, tags: Sequence[str]) -> Change:
    """Put tags on an object; those that it has already stay.

    :raises Invalid: a text cannot be a tag.
    """
    new = tags_checked(tags)

    def change(state: ClusterState) -> ClusterState:
        before = current(state, record)
        after = _sorted((*before.tags, *new))
        if len(after) > MOST:
            raise Refused(f"an object can carry {MOST} tags, and this would make {len(after)}")
        return state.put(replace(before, tags=after))

    return change


def remove_tags(record: Taggable, tags: Sequence[str]) -> Change:
    """Take tags off an object, which must have all of them.

    :raises Invalid: a text cannot be a tag.
    """
    old = tags_checked(tags)

    def change(state: ClusterState) -> ClusterState:
        before = current(state, record)
        if missing := [tag for tag in old if tag not in before.tags]:
            kind, name = KINDS[type(before)], getattr(before, "name", "")
            raise Refused(
                f"{f'{kind} {name}'.rstrip()} has no tag {', '.join(missing)};"
                f" see gnt-{kind} list-tags",
                Code.UNKNOWN,
            )
        after = tuple(tag for tag in before.tags if tag not in old)
        return state.put(replace(before, tags=after))

    return change


_RULE = "'{}' cannot be a tag; use 1 to 128 letters, digits, and the characters . + * / : @ - _"


def _is(tag: str) -> bool:
    try:
        msgspec.convert(tag, Tag)
    except msgspec.ValidationError:
        return False
    return True


def _sorted(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))
