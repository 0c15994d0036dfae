# SPDX-License-Identifier: BSD-2-Clause
"""Reserved instances of Ganeti's configurations (*forthcoming*), which exist only in its records.

Nothing of them is on a node, and most of their fields may be missing. Those that have what a
reservation of this software has come over; incomplete ones are not loaded, and described by the
command that reserves them.
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
    """An incomplete reservation: its name, and the words of the command that makes it again."""

    name: str
    command: Sequence[str]

    def __str__(self) -> str:
        return shlex.join(self.command)


def separate_reservations(document: Document) -> tuple[Document, Sequence[Reservation]]:
    """Return the configuration without incomplete reservations, and these.

    What is reserved does not run: that is recorded of the others.
    """
    incomplete = {
        key: held
        for key, held in _objects(document, "instances").items()
        if _is_reserved(held) and not is_complete(held, document)
    }
    owned = {
        uuid
        for key, held in _objects(document, "instances").items()
        if key not in incomplete and isinstance(held, dict)
        for uuid in held.get("disks") or ()
    }
    left = {
        "instances": incomplete.keys(),
        "disks": {
            key
            for key, held in _objects(document, "disks").items()
            if _is_reserved(held) and key not in owned
        },
    }
    kept = {
        section: {
            key: _settle(held) if section == "instances" and _is_reserved(held) else held
            for key, held in _objects(document, section).items()
            if key not in left[section]
        }
        for section in _SECTIONS
        if section in document
    }
    found = [
        Reservation(str(held.get("name") or key), tuple(_command(key, held, document)))
        for key, held in incomplete.items()
    ]
    return {**document, **kept}, sorted(found, key=lambda each: each.name)


def _settle(held: Document) -> Document:
    return {**held, "admin_state": "down", "disks_active": False}


_NEEDED = ("name", "primary_node", "hypervisor")
_NEEDED_BY_DISKS = ("dev_type", "logical_id", "size")


def is_complete(held: Document, document: Document) -> bool:
    """Return whether a reserved instance has all that a reservation of this software has."""
    if not all(held.get(name) for name in _NEEDED):
        return False
    if held["primary_node"] not in _objects(document, "nodes"):
        return False
    disks = [_objects(document, "disks").get(uuid) for uuid in held.get("disks") or ()]
    return all(
        isinstance(disk, dict) and all(disk.get(name) for name in _NEEDED_BY_DISKS)
        for disk in disks
    )


def with_reservations(document: Document, earlier: Document) -> Document:
    """Return a configuration with the incomplete reservations of an ``earlier`` one.

    What has been created under the name of a reservation takes its place.
    """
    names = {each.get("name") for each in _objects(document, "instances").values()}
    instances = {
        key: held
        for key, held in _objects(earlier, "instances").items()
        if _is_reserved(held) and not is_complete(held, earlier) and held.get("name") not in names
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
    yield from ("gnt-instance", "add", "--forthcoming")
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
