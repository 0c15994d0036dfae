# SPDX-License-Identifier: BSD-2-Clause
"""The upgrade from version 2.2, which has objects by name and disks inside their instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ganeti.config.initial_state import FIRST_GROUP
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.disk import Template
from ganeti.schema.documents import Document

_DEVICES: Mapping[str, Template] = {"lvm": Template.PLAIN, "drbd8": Template.DRBD}
"""Old names of disk templates."""


def upgrade_from_2_2(old: Document, ids: Callable[[], str]) -> Document:
    """Return the document with UUIDs for names, one node group, and disks in a section."""
    return _Upgrade(old, ids).document()


@dataclass(frozen=True)
class _Upgrade:
    old: Document
    ids: Callable[[], str]

    def document(self) -> Document:
        group = self.ids()
        uuids = {name: node.get("uuid") or self.ids() for name, node in self.old["nodes"].items()}
        nodes = [
            {**self._stamp, **_remaining(node), "uuid": uuids[name], "group": group}
            for name, node in self.old["nodes"].items()
        ]
        instances, disks = [], []
        for instance in self.old["instances"].values():
            own = [
                self._disk(disk, _node_names(instance, disk), uuids) for disk in instance["disks"]
            ]
            disks += own
            instances.append(self._instance(instance, own, uuids))
        return {
            "version": CONFIG_VERSION,
            "cluster": self._cluster(uuids),
            "nodes": _index_by_uuid(nodes),
            "nodegroups": {group: {**self._stamp, "uuid": group, "name": FIRST_GROUP}},
            "instances": _index_by_uuid(instances),
            "disks": _index_by_uuid(disks),
            "serial_no": self.old["serial_no"],
            "ctime": self._stamp["ctime"],
            "mtime": self._stamp["mtime"],
        }

    @property
    def _stamp(self) -> Document:
        times = {name: self.old.get(name) or 0.0 for name in ("ctime", "mtime")}
        return {"serial_no": 1, **times}

    def _cluster(self, uuids: Mapping[str, str]) -> Document:
        kept = _remaining(self.old["cluster"], "default_bridge", "default_hypervisor")
        templates = {
            disk["dev_type"] for i in self.old["instances"].values() for disk in i["disks"]
        }
        return {
            "uuid": self.ids(),
            **self._stamp,
            **kept,
            "beparams": {name: _split_memory(be) for name, be in kept["beparams"].items()},
            "master_node": uuids[kept["master_node"]],
            "enabled_disk_templates": sorted({_template(each) for each in templates})
            or [Template.DRBD.value, Template.PLAIN.value],
        }

    def _instance(
        self, old: Document, disks: Iterable[Document], uuids: Mapping[str, str]
    ) -> Document:
        return {
            "uuid": self.ids(),
            **self._stamp,
            **_remaining(old, "admin_up", "disk_template"),
            "beparams": _split_memory(old["beparams"]),
            "primary_node": uuids[old["primary_node"]],
            "admin_state": "up" if old["admin_up"] else "down",
            "nics": [self._nic(nic) for nic in old["nics"]],
            "disks": [disk["uuid"] for disk in disks],
        }

    def _nic(self, old: Document) -> Document:
        params = {**(old.get("nicparams") or {})}
        if old.get("bridge"):
            params.setdefault("link", old["bridge"])
        kept = {"mac": old["mac"], "ip": old.get("ip")}
        return {**kept, "nicparams": params, "uuid": self.ids()}

    def _disk(self, old: Document, places: tuple[str, ...], uuids: Mapping[str, str]) -> Document:
        place = old["logical_id"]
        if _template(old["dev_type"]) == Template.DRBD:
            place = [*(uuids[name] for name in place[:2]), *place[2:]]
        return {
            **self._stamp,
            **_remaining(old, "physical_id"),
            "uuid": self.ids(),
            "dev_type": _template(old["dev_type"]),
            "logical_id": place,
            "nodes": [uuids[name] for name in places],
            "children": [self._disk(each, places, uuids) for each in old.get("children") or ()],
        }


def _remaining(old: Document, *gone: str) -> Document:
    """Return the fields of an object that are set, without those in ``gone``."""
    return {name: v for name, v in old.items() if v is not None and name not in gone}


def _split_memory(old: Document) -> Document:
    """Return backend parameters with ``memory`` as both ``minmem`` and ``maxmem``."""
    kept = {name: value for name, value in old.items() if name != "memory"}
    if "memory" in old:
        kept |= {"minmem": old["memory"], "maxmem": old["memory"]}
    return kept


def _template(device: str) -> str:
    return _DEVICES.get(device, device)


def _node_names(instance: Document, disk: Document) -> tuple[str, ...]:
    """Return the names of a disk's nodes."""
    if _template(disk["dev_type"]) == Template.DRBD:
        first, second = disk["logical_id"][:2]
        return (first, second)
    return (instance["primary_node"],)


def _index_by_uuid(objects: Iterable[Document]) -> dict[str, Document]:
    return {each["uuid"]: each for each in objects}
