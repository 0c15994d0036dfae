# SPDX-License-Identifier: BSD-2-Clause
"""Reserved instances of Ganeti's configurations (*forthcoming*), which exist only in its records.

Nothing of them is on a node, and most of their fields may be missing. They are not loaded, and
described by the command that creates them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti.model.disk import Template
from ganeti.schema.documents import Document

_SECTIONS = ("instances", "disks")


@dataclass(frozen=True)
class Reservation:
    """A reserved instance: its name, and the words of the command that creates it."""

    name: str
    command: Sequence[str]

    def __str__(self) -> str:
        return shlex.join(self.command)


def separate_reservations(document: Document) -> tuple[Document, Sequence[Reservation]]:
    """Return the configuration without what is only reserved, and the reserved instances."""
    kept = {
        section: {
            key: held for key, held in _objects(document, section).items() if not _is_reserved(held)
        }
        for section in _SECTIONS
        if section in document
    }
    found = [
        Reservation(str(held.get("name") or key), tuple(_command(key, held, document)))
        for key, held in _objects(document, "instances").items()
        if _is_reserved(held)
    ]
    return {**document, **kept}, sorted(found, key=lambda each: each.name)


def with_reservations(document: Document, earlier: Document) -> Document:
    """Return a configuration with what was only reserved in an ``earlier`` one.

    What has been created under the name of a reservation takes its place.
    """
    names = {each.get("name") for each in _objects(document, "instances").values()}
    instances = {
        key: held
        for key, held in _objects(earlier, "instances").items()
        if _is_reserved(held) and held.get("name") not in names
    }
    owned = {uuid for held in instances.values() for uuid in held.get("disks") or ()}
    disks = {key: held for key, held in _objects(earlier, "disks").items() if key in owned}
    merged = {
        "instances": {**_objects(document, "instances"), **instances},
        "disks": {**_objects(document, "disks"), **disks},
    }
    return {**document, **merged}


def _objects(document: Document, section: str) -> Mapping[str, Document]:
    return document.get(section) or {}


def _is_reserved(held: object) -> bool:
    return isinstance(held, dict) and bool(held.get("forthcoming"))


def _command(key: str, held: Document, document: Document) -> Iterator[str]:
    """Yield the words of the command, as far as the record has values for them."""
    yield from ("gnt-instance", "add")
    disks = [_objects(document, "disks").get(uuid) or {} for uuid in held.get("disks") or ()]
    template = str(disks[0].get("dev_type", "")) if disks else Template.DISKLESS.value
    if template:
        yield from ("-t", template)
    for index, disk in enumerate(disks):
        yield from ("--disk", f"{index}:size={disk.get('size', 0)}M")
    yield from ("-o", str(held.get("os") or "noop"))
    if hypervisor := held.get("hypervisor"):
        yield from ("-H", _settings(held.get("hvparams") or {}, f"{hypervisor}:").rstrip(":"))
    if backend := held.get("beparams"):
        yield from ("-B", _settings(backend))
    for index, nic in enumerate(held.get("nics") or ()):
        yield from ("--net", f"{index}:{_settings(_nic(nic, document))}".rstrip(":"))
    nodes = _objects(document, "nodes")
    homes = [held.get("primary_node"), *_others(held, disks)]
    names = [str(nodes[uuid]["name"]) for uuid in homes if uuid and uuid in nodes]
    if names:
        yield from ("-n", ":".join(names))
    yield str(held.get("name") or key)


def _others(held: Document, disks: Sequence[Document]) -> list[str]:
    """Return the secondary node of mirrored disks."""
    if not disks or disks[0].get("dev_type") != Template.DRBD.value:
        return []
    return [uuid for uuid in disks[0].get("nodes") or () if uuid != held.get("primary_node")][:1]


def _nic(nic: Document, document: Document) -> Document:
    network = _objects(document, "networks").get(nic.get("network") or "", {}).get("name")
    if network:
        return {"mac": nic.get("mac"), "ip": nic.get("ip"), "network": network}
    return {"mac": nic.get("mac"), "ip": nic.get("ip"), **(nic.get("nicparams") or {})}


def _settings(values: Mapping[str, object], prefix: str = "") -> str:
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return prefix + ",".join(f"{name}={value}" for name, value in given.items())
