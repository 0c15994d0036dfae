# SPDX-License-Identifier: BSD-2-Clause
"""Rows as JSON objects, the form of the remote API: ``{"name": "web1", "oper_ram": null}``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from ganeti.query.fields import Table, bare
from ganeti.views.snapshot import ClusterSnapshot

R = TypeVar("R")

Rows: TypeAlias = Callable[[ClusterSnapshot, Iterable[str] | None], Sequence[R]]

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


class Listed(Generic[R]):
    """All objects of a kind as a JSON list, with always the same fields.

    They show what the configuration has and what nodes say. A list of which neither has changed
    is the same bytes again.
    """

    def __init__(self, table: Table[R], rows: Rows[R], fields: Sequence[str]) -> None:
        """:raises Invalid: some of ``fields`` are no fields."""
        self._encode = object_encoder(table, fields)
        self._rows = rows
        self._basis: tuple[Any, Any] = (None, None)
        self._list = b"[]"

    def everything(self, moment: ClusterSnapshot) -> bytes:
        """All of them, as people sort them."""
        objects, present = self._basis
        if moment.state.objects is not objects or moment.present is not present:
            self._list = b"[" + b",".join(map(self._encode, self._rows(moment, None))) + b"]"
            self._basis = moment.state.objects, moment.present
        return self._list
