# SPDX-License-Identifier: BSD-2-Clause
"""Changes of tags of the cluster, nodes, groups, instances and networks."""

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

MAX_TAGS = 4096
"""The maximum number of tags of an object."""


def validate_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Return these tags sorted, without duplicates.

    :raises Invalid: with a problem for each invalid tag, or if there are too many.
    """
    found = [
        Problem(f"tags[{i}]", _RULE.format(tag)) for i, tag in enumerate(tags) if not _is_tag(tag)
    ]
    different = tuple(sorted(set(tags)))
    if len(different) > MAX_TAGS:
        found.append(
            Problem("tags", f"an object can have at most {MAX_TAGS} tags, not {len(different)}")
        )
    if found:
        raise Invalid(found)
    return different


def add_tags(record: Taggable, tags: Sequence[str]) -> Change:
    """Add tags to an object; tags that it already has are ignored.

    :raises Invalid: a tag is invalid.
    """
    new = validate_tags(tags)

    def change(state: ClusterState) -> ClusterState:
        before = current(state, record)
        after = _sort((*before.tags, *new))
        if len(after) > MAX_TAGS:
            raise Refused(
                f"an object can have at most {MAX_TAGS} tags, not {len(after)}; remove some first"
            )
        return state.put(replace(before, tags=after))

    return change


def remove_tags(record: Taggable, tags: Sequence[str]) -> Change:
    """Remove tags from an object, which must have all of them.

    :raises Invalid: a tag is invalid.
    """
    old = validate_tags(tags)

    def change(state: ClusterState) -> ClusterState:
        before = current(state, record)
        if missing := [tag for tag in old if tag not in before.tags]:
            kind, name = KINDS[type(before)], getattr(before, "name", "")
            raise Refused(
                f"{f'{kind} {name}'.rstrip()} does not have these tags: {', '.join(missing)};"
                f" see gnt-{kind} list-tags",
                Code.UNKNOWN,
            )
        after = tuple(tag for tag in before.tags if tag not in old)
        return state.put(replace(before, tags=after))

    return change


_RULE = "'{}' is not a valid tag; use 1 to 128 letters, digits, and the characters . + * / : @ - _"


def _is_tag(tag: str) -> bool:
    try:
        msgspec.convert(tag, Tag)
    except msgspec.ValidationError:
        return False
    return True


def _sort(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))
