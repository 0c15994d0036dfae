# SPDX-License-Identifier: BSD-2-Clause
"""Requests about OS definitions and external storage providers."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Text


class DiagnoseOSes(Opcode, tag="OP_OS_DIAGNOSE"):
    """List the OS definitions and whether they work on all nodes."""

    output_fields: fields.OutputFields
    names: Annotated[tuple[Text, ...], doc("Only these definitions; empty means all.")] = ()


class DiagnoseExtStorage(Opcode, tag="OP_EXT_STORAGE_DIAGNOSE"):
    """List the external storage providers and whether they work on all nodes."""

    output_fields: fields.OutputFields
    names: Annotated[tuple[Text, ...], doc("Only these providers; empty means all.")] = ()
