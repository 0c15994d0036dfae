# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for tags."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Text


class TagKind(enum.StrEnum):
    """The kinds of object that have tags."""

    CLUSTER = "cluster"
    INSTANCE = "instance"
    NETWORK = "network"
    NODE = "node"
    NODEGROUP = "nodegroup"


Kind = Annotated[TagKind, doc("Kind of object.")]
Owner = Annotated[Line | None, doc("Name of the object; not used for the cluster.")]


class AddTags(Opcode, tag="OP_TAGS_SET"):
    """Add tags to an object."""

    kind: Kind
    tags: Annotated[tuple[Line, ...], doc("Tags to add.")]
    name: Owner = None


class RemoveTags(Opcode, tag="OP_TAGS_DEL"):
    """Remove tags from an object."""

    kind: Kind
    tags: Annotated[tuple[Line, ...], doc("Tags to remove.")]
    name: Owner = None


class GetTags(Opcode, tag="OP_TAGS_GET"):
    """List the tags of an object."""

    summary_field = "name"

    kind: Kind
    use_locking: fields.UseLocking = False
    name: Owner = None


class SearchTags(Opcode, tag="OP_TAGS_SEARCH"):
    """Search the tags of all objects by a pattern."""

    summary_field = "pattern"

    pattern: Annotated[Text, doc("Regular expression.")]
