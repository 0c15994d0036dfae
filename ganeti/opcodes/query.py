# SPDX-License-Identifier: BSD-2-Clause
"""Questions that are answered as jobs."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from ganeti.opcodes.fields import OutputFields, UseLocking
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Text


class Resource(enum.StrEnum):
    """The kinds of object that can be asked about."""

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


What = Annotated[Resource, doc("The kind of object.")]


class QueryOpcode(Opcode, tag="OP_QUERY"):
    """List objects of one kind."""

    summary_field = "what"

    what: What
    use_locking: UseLocking = False
    fields: OutputFields
    qfilter: Annotated[
        tuple[Any, ...] | None, doc("Which objects, in the language of filters; null means all.")
    ] = None


class QueryFieldsOpcode(Opcode, tag="OP_QUERY_FIELDS"):
    """List the fields that objects of one kind have."""

    summary_field = "what"

    what: What
    fields: Annotated[tuple[Text, ...] | None, doc("Only these fields; null means all.")] = None
