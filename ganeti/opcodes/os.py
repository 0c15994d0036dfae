# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for OS definitions and external storage providers."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Text


class DiagnoseOSes(Opcode, tag="OP_OS_DIAGNOSE"):
    """List OS definitions, and whether they are valid on all nodes."""

    output_fields: fields.OutputFields
    names: Annotated[tuple[Text, ...], doc("Names of definitions; empty means all.")] = ()


class DiagnoseExtStorage(Opcode, tag="OP_EXT_STORAGE_DIAGNOSE"):
    """List external storage providers, and whether they are valid on all nodes."""

    output_fields: fields.OutputFields
    names: Annotated[tuple[Text, ...], doc("Names of providers; empty means all.")] = ()
