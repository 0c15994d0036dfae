# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for queries."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes.fields import OutputFields, UseLocking
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import JsonValue, Text


class Resource(enum.StrEnum):
    """The kinds of object that can be queried."""

    CLUSTER = "cluster"
    EXPORT = "export"
    EXTSTORAGE = "extstorage"
    FILTER = "filter"
    GROUP = "group"
    INSTANCE = "instance"
    JOB = "job"
    LOCK = "lock"
    NETWORK = "network"
    NODE = "node"
    OS = "os"


What = Annotated[Resource, doc("Kind of object.")]


class QueryOpcode(Opcode, tag="OP_QUERY"):
    """List objects of one kind."""

    summary_field = "what"

    what: What
    use_locking: UseLocking = False
    fields: OutputFields
    qfilter: Annotated[
        tuple[JsonValue, ...] | None, doc("Query filter; null means all objects.")
    ] = None


class QueryFieldsOpcode(Opcode, tag="OP_QUERY_FIELDS"):
    """List the fields of one kind of object."""

    summary_field = "what"

    what: What
    fields: Annotated[tuple[Text, ...] | None, doc("Names of fields; null means all.")] = None
