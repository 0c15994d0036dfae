# SPDX-License-Identifier: BSD-2-Clause
"""Requests about tags."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Text


class TagKind(enum.StrEnum):
    """The kinds of object that carry tags."""

    CLUSTER = "cluster"
    INSTANCE = "instance"
    NETWORK = "network"
    NODE = "node"
    NODEGROUP = "nodegroup"


Kind = Annotated[TagKind, doc("What kind of object carries the tags.")]
Owner = Annotated[Line | None, doc("The name of the object; not needed for the cluster.")]


class AddTags(Opcode, tag="OP_TAGS_SET"):
    """Add tags to an object."""

    kind: Kind
    tags: Annotated[tuple[Line, ...], doc("The tags to add.")]
    name: Owner = None


class RemoveTags(Opcode, tag="OP_TAGS_DEL"):
    """Remove tags from an object."""

    kind: Kind
    tags: Annotated[tuple[Line, ...], doc("The tags to remove.")]
    name: Owner = None


class GetTags(Opcode, tag="OP_TAGS_GET"):
    """List the tags of an object."""

    summary_field = "name"

    kind: Kind
    use_locking: fields.UseLocking = False
    name: Owner = None


class SearchTags(Opcode, tag="OP_TAGS_SEARCH"):
    """Find the tags of all objects that match a pattern."""

    summary_field = "pattern"

    pattern: Annotated[Text, doc("A regular expression.")]
