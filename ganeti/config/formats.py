# SPDX-License-Identifier: BSD-2-Clause
"""The file ``config.data`` in the format of Ganeti 3.0: one JSON object, with objects by UUID.

What that format has no place for is in ``access.json`` (``ganeti.config.access_file``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from immutables import Map

from ganeti.config.card_rules import without_rules
from ganeti.config.record_codec import encoder
from ganeti.config.state import TYPES, ClusterState, RecordKind, Stored, make_state
from ganeti.config.upgrade import upgraded
from ganeti.errors import Invalid, Problem
from ganeti.model.cluster import CONFIG_VERSION, Cluster
from ganeti.model.disk import Disk
from ganeti.model.filters import FilterRule
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.reading import problems
from ganeti.schema.records import Record

SECTIONS: Mapping[RecordKind, str] = {
    RecordKind.NODE: "nodes",
    RecordKind.GROUP: "nodegroups",
    RecordKind.INSTANCE: "instances",
    RecordKind.NETWORK: "networks",
    RecordKind.DISK: "disks",
    RecordKind.FILTER: "filters",
}
"""The section of the file for each kind of object, except the cluster."""


class ConfigFile(Record):
    """The content of the file."""

    version: int
    cluster: Cluster
    nodes: dict[str, Node]
    nodegroups: dict[str, Group]
    instances: dict[str, Instance]
    networks: dict[str, Network]
    disks: dict[str, Disk]
    filters: dict[str, FilterRule]
    ctime: float
    mtime: float
    serial_no: int


_decoder = msgspec.json.Decoder(ConfigFile)


def loaded(text: bytes, *, ids: Callable[[], str]) -> ClusterState:
    """Return the state that a ``config.data`` contains; older formats are upgraded.

    ``ids`` generates UUIDs for objects that have none in old formats.

    :raises Invalid: with every problem of the file.
    """
    try:
        file = _decoder.decode(text)
    except UNREADABLE:
        # An older format or a damaged file, which the upgrade tells apart.
        return _make_state(_upgrade(text, ids))
    if file.version != CONFIG_VERSION or _has_fractions(file):
        file = _upgrade(text, ids)
    return _make_state(file)


def _has_fractions(file: ConfigFile) -> bool:
    """Return whether a guest parameter is a float like 2.0, which its type does not reject."""
    levels = [*file.cluster.beparams.values(), *file.cluster.hvparams.values()]
    for instance in file.instances.values():
        levels += (instance.beparams, instance.hvparams)
    return any(isinstance(value, float) for level in levels for value in level.values())


def _upgrade(text: bytes, ids: Callable[[], str]) -> ConfigFile:
    try:
        document = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Invalid(
            f"config.data is damaged: {e}; copy it from another master candidate or a backup"
        ) from None
    document = upgraded(document, ids)
    try:
        return msgspec.convert(document, ConfigFile)
    except msgspec.ValidationError as e:
        raise Invalid(list(_find_problems(document)) or str(e)) from None


def _find_problems(document: Mapping[str, object]) -> Iterator[Problem]:
    sections = {name: kind for kind, name in SECTIONS.items()}
    for each in problems(ConfigFile, document):
        name, _, _ = each.path.partition(".")
        name = name.partition("[")[0]
        held = document.get(name)
        if name == "cluster" and isinstance(held, Mapping):
            found = [(name, problem) for problem in problems(Cluster, held)]
        elif name in sections and isinstance(held, Mapping):
            kind = TYPES[sections[name]]
            found = [
                (f"{name}/{key}", problem)
                for key, record in held.items()
                for problem in problems(kind, record)
            ]
        else:
            found = []
        yield from (Problem(f"{path}/{p.path}", p.message) for path, p in found)
        if not found:
            yield each


def _make_state(file: ConfigFile) -> ClusterState:
    misplaced = [
        Problem(f"{section}/{key}", f"contains the object {record.uuid}, which has another key")
        for section in SECTIONS.values()
        for key, record in getattr(file, section).items()
        if record.uuid != key
    ]
    if misplaced:
        raise Invalid(misplaced)
    return make_state(_records(file), serial_no=file.serial_no, ctime=file.ctime, mtime=file.mtime)


def _records(file: ConfigFile) -> Iterator[Stored]:
    yield file.cluster
    for section in SECTIONS.values():
        yield from getattr(file, section).values()


class ConfigDataEncoder:
    """An encoder of states as ``config.data`` that encodes only objects changed since last time.

    Equal states give equal bytes.
    """

    def __init__(self) -> None:
        self._sections: dict[RecordKind, _Section] = {kind: _Section() for kind in SECTIONS}

    def text(self, state: ClusterState, *, version: int = CONFIG_VERSION) -> bytes:
        """Return the content of the file for ``state``; some versions have the same format."""
        return b"".join(self.pieces(state, version=version))

    def pieces(self, state: ClusterState, *, version: int = CONFIG_VERSION) -> Iterator[bytes]:
        """Yield the content of the file in pieces, each of which takes a few milliseconds.

        The next state may only be encoded when all pieces of this one have been taken.
        """
        yield b'{"version":%d,"cluster":%b' % (
            version,
            encoder.encode(without_rules(state.cluster)),
        )
        for kind, name in SECTIONS.items():
            yield b',"%s":{' % name.encode()
            yield from self._sections[kind].pieces(state.objects.get(kind, _NOTHING))
            yield b"}"
        for name in ("ctime", "mtime", "serial_no"):
            yield b',"%s":%b' % (name.encode(), encoder.encode(getattr(state, name)))
        yield b"}\n"


PIECE = 500
"""Number of objects in a piece of the file, and of those that are compared at once."""


class _Section:
    """The encoded objects of one kind, and their UUIDs in order."""

    def __init__(self) -> None:
        self._objects: Map[str, Stored] = _NOTHING
        self._texts: dict[str, bytes] = {}
        self._order: list[str] = []

    def pieces(self, objects: Map[str, Stored]) -> Iterator[bytes]:
        if objects is not self._objects:
            yield from self._update(objects)
        for start in range(0, len(self._order), PIECE):
            piece = b",".join(self._texts[key] for key in self._order[start : start + PIECE])
            yield b"," + piece if start else piece

    def _update(self, objects: Map[str, Stored]) -> Iterator[bytes]:
        """Encode what has changed, yielding empty pieces meanwhile."""
        before, new = self._objects, []
        for number, (key, record) in enumerate(objects.items(), start=1):
            if before.get(key) is not record:
                if key not in before:
                    new.append(key)
                encoded = encoder.encode(without_rules(record))
                self._texts[key] = b"%s:%s" % (encoder.encode(key), encoded)
            if number % PIECE == 0:
                yield b""
        if len(before) + len(new) != len(objects):
            for key in before:
                if key not in objects:
                    del self._texts[key]
            yield b""
            self._order = [key for key in self._order if key in objects]
        if new:
            # Sorted before, but for those at the end: this takes less than to sort all of them.
            self._order += new
            self._order.sort()
        self._objects = objects


_NOTHING: Map[str, Stored] = Map()
