# SPDX-License-Identifier: BSD-2-Clause
"""Rows as JSON objects, the form of the remote API: ``{"name": "web1", "oper_ram": null}``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from ganeti.query.fields import Table, bare

R = TypeVar("R")

_encode = msgspec.json.Encoder().encode


def object_encoder(table: Table[R], fields: Sequence[str]) -> Callable[[R], bytes]:
    """What makes JSON objects with these fields of rows; null where there is no value.

    :raises Invalid: some of ``fields`` are no fields.
    """
    table.known(fields)
    values = [(name, table.fields[name].value) for name in fields]
    return lambda row: _encode({name: bare(value(row)) for name, value in values})


def objects(table: Table[R], fields: Sequence[str], rows: Iterable[R]) -> bytes:
    """Rows as a JSON list of objects.

    :raises Invalid: some of ``fields`` are no fields.
    """
    encode = object_encoder(table, fields)
    return b"[" + b",".join([encode(row) for row in rows]) + b"]"
