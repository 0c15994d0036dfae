# SPDX-License-Identifier: BSD-2-Clause
"""Rows as JSON objects, as in the remote API: ``{"name": "web1", "oper_ram": null}``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

import msgspec

from ganeti.query.fields import Table, bare
from ganeti.views.snapshot import ClusterSnapshot

R = TypeVar("R")

Rows: TypeAlias = Callable[[ClusterSnapshot, Iterable[str] | None], Sequence[R]]

_encode = msgspec.json.Encoder().encode


def object_encoder(table: Table[R], fields: Sequence[str]) -> Callable[[R], bytes]:
    """Return a function that encodes a row as a JSON object; missing values become null.

    :raises Invalid: if ``fields`` contains an unknown field.
    """
    table.known(fields)
    values = [(name, table.fields[name].value) for name in fields]
    return lambda row: _encode({name: bare(value(row)) for name, value in values})


def cell_encoder(table: Table[R], fields: Sequence[str]) -> Callable[[R], bytes]:
    """Return a function that encodes a row as a JSON list of cells, each with its status."""
    cells = table.cells(fields)
    return lambda row: _encode(cells(row))


def objects(table: Table[R], fields: Sequence[str], rows: Iterable[R]) -> bytes:
    """Encode rows as a JSON list of objects.

    :raises Invalid: if ``fields`` contains an unknown field.
    """
    encode = object_encoder(table, fields)
    return b"[" + b",".join([encode(row) for row in rows]) + b"]"


class CachedList(Generic[R]):
    """A cached JSON list of all objects of a kind, with a fixed set of fields.

    The fields depend on the configuration and the state of the nodes only. If neither has changed,
    the same list is returned.
    """

    def __init__(self, table: Table[R], rows: Rows[R], fields: Sequence[str]) -> None:
        """:raises Invalid: if ``fields`` contains an unknown field."""
        self._encode = object_encoder(table, fields)
        self._rows = rows
        self._basis: tuple[object, object] = (None, None)
        self._texts: Sequence[bytes] = ()
        self._list = b"[]"

    def everything(self, moment: ClusterSnapshot) -> bytes:
        """Return all objects, sorted by name."""
        self.texts(moment)
        return self._list

    def texts(self, moment: ClusterSnapshot) -> Sequence[bytes]:
        """Return all objects one by one; see :meth:`everything`."""
        objects, present = self._basis
        if moment.state.objects is not objects or moment.present is not present:
            self._texts = list(map(self._encode, self._rows(moment, None)))
            self._list = b"[" + b",".join(self._texts) + b"]"
            self._basis = moment.state.objects, moment.present
        return self._texts
