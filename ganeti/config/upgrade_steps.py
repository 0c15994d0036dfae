# SPDX-License-Identifier: BSD-2-Clause
"""The upgrade steps from version 2.7 to the present, one for each version.

A step makes only the changes of its version; missing fields get defaults after the last step. Parts
of a document that already have the newer form, as after a downgrade by Ganeti, are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ganeti.model.disk import Template
from ganeti.model.parameters.declaration import defaults
from ganeti.model.parameters.policy import Policy
from ganeti.schema.documents import Document

Ids: TypeAlias = Callable[[], str]
Step: TypeAlias = Callable[[Document, Ids], Document]

_DEVICES: Mapping[str, str] = {"lvm": Template.PLAIN.value, "drbd8": Template.DRBD.value}
"""Names of disk templates before 2.9."""


def upgrade_to_2_8(old: Document, ids: Ids) -> Document:
    """Add policy ranges, UUIDs of disks and network cards, and the enabled disk templates."""
    cluster = {
        **old["cluster"],
        "ipolicy": _convert_ranges(old["cluster"].get("ipolicy") or {}, {}),
    }
    cluster.setdefault("enabled_disk_templates", _templates_in_use(old))
    usual = cluster["ipolicy"]
    groups = {
        key: {**group, "ipolicy": _convert_group_policy(group.get("ipolicy") or {}, usual)}
        for key, group in old.get("nodegroups", {}).items()
    }
    instances = {
        key: {
            **instance,
            "nics": [{"uuid": ids(), **nic} for nic in instance["nics"]],
            "disks": [{"uuid": ids(), **disk} for disk in instance["disks"]],
        }
        for key, instance in old["instances"].items()
    }
    return {**old, "cluster": cluster, "nodegroups": groups, "instances": instances}


def upgrade_to_2_9(old: Document, ids: Ids) -> Document:
    """Key nodes and instances by UUID, and rename disk templates."""
    uuids = {node["name"]: node["uuid"] for node in old["nodes"].values()}

    def disk(each: Document) -> Document:
        found = {**each, "dev_type": _DEVICES.get(each["dev_type"], each["dev_type"])}
        if found["dev_type"] == Template.DRBD:
            first, second, *rest = each["logical_id"]
            found["logical_id"] = [uuids.get(first, first), uuids.get(second, second), *rest]
        return _map_children(found, disk)

    def instance(each: Document) -> Document:
        node = each["primary_node"]
        disks = [disk(held) for held in each["disks"]]
        return {**each, "primary_node": uuids.get(node, node), "disks": disks}

    master = old["cluster"]["master_node"]
    return {
        **old,
        "cluster": {**old["cluster"], "master_node": uuids.get(master, master)},
        "nodes": _index_by_uuid(old["nodes"].values()),
        "instances": _index_by_uuid(map(instance, old["instances"].values())),
    }


def upgrade_to_2_10(old: Document, ids: Ids) -> Document:
    """Remove the physical ids of disks."""

    def disk(each: Document) -> Document:
        kept = {name: value for name, value in each.items() if name != "physical_id"}
        return _map_children(kept, disk)

    return _map_disks(old, disk)


def upgrade_to_2_11(old: Document, ids: Ids) -> Document:
    """Add UUIDs to the volumes of mirrored disks."""

    def disk(each: Document) -> Document:
        return _map_children({"uuid": ids(), **each}, disk)

    return _map_disks(old, disk)


def upgrade_to_2_12(old: Document, ids: Ids) -> Document:
    """Move disks into their own section, with the times of their instance."""
    disks: dict[str, Document] = dict(old.get("disks") or {})
    instances = {}
    for key, instance in old["instances"].items():
        embedded = [each for each in instance["disks"] if isinstance(each, dict)]
        times = {name: instance[name] for name in ("ctime", "mtime") if name in instance}
        disks |= {each["uuid"]: {"serial_no": 1, **times, **each} for each in embedded}
        uuids = [each["uuid"] if isinstance(each, dict) else each for each in instance["disks"]]
        instances[key] = {**instance, "disks": uuids}
    return {**old, "instances": instances, "disks": disks}


def upgrade_to_2_14(old: Document, ids: Ids) -> Document:
    """Add the nodes of disks, and remove the template of instances, which follows from disks."""
    owners = {uuid: each for each in old["instances"].values() for uuid in each["disks"]}

    def disk(each: Document, nodes: list[str]) -> Document:
        found = {"uuid": ids(), "nodes": nodes, **each}
        return _map_children(found, lambda child: disk(child, nodes))

    disks = {
        uuid: disk(each, _disk_nodes(each, owners.get(uuid))) for uuid, each in old["disks"].items()
    }
    instances = {
        key: {name: value for name, value in each.items() if name != "disk_template"}
        for key, each in old["instances"].items()
    }
    return {**old, "instances": instances, "disks": disks}


def unchanged(old: Document, ids: Ids) -> Document:
    """Return the document as it is: the version only added settings with defaults."""
    return old


CHAIN: Mapping[int, tuple[int, Step]] = MappingProxyType(
    {
        2_070_000: (2_080_000, upgrade_to_2_8),
        2_080_000: (2_090_000, upgrade_to_2_9),
        2_090_000: (2_100_000, upgrade_to_2_10),
        2_100_000: (2_110_000, upgrade_to_2_11),
        2_110_000: (2_120_000, upgrade_to_2_12),
        2_120_000: (2_130_000, unchanged),
        2_130_000: (2_140_000, upgrade_to_2_14),
        2_140_000: (2_150_000, unchanged),
        2_150_000: (2_160_000, unchanged),
        2_160_000: (3_000_000, unchanged),
        # Ganeti 3.1 writes the format of 3.0 with its own version number.
        3_010_000: (3_000_000, unchanged),
    }
)
"""The upgrade steps: by version, the next version and the step to it."""


def _convert_ranges(policy: Document, usual: Mapping[str, Any]) -> Document:
    """Return a policy with ``min`` and ``max`` as a range, completed from ``usual``."""
    kept = {name: value for name, value in policy.items() if name not in ("min", "max")}
    bounds = {name: policy.get(name) or {} for name in ("min", "max")}
    if "minmax" not in kept and any(bounds.values()):
        [around, *_] = usual.get("minmax") or defaults(Policy)["minmax"]
        kept["minmax"] = [{name: {**around[name], **bounds[name]} for name in bounds}]
    return kept


def _convert_group_policy(policy: Document, usual: Mapping[str, object]) -> Document:
    """Return the policy of a group, which has no standard instance."""
    return {n: value for n, value in _convert_ranges(policy, usual).items() if n != "std"}


def _templates_in_use(old: Document) -> list[str]:
    """Return the templates of existing disks, and those that the settings make available."""
    cluster = old["cluster"]
    used = {instance.get("disk_template") for instance in old["instances"].values()}
    possible = {
        Template.DRBD.value: cluster.get("drbd_usermode_helper"),
        Template.PLAIN.value: cluster.get("volume_group_name"),
        Template.FILE.value: cluster.get("file_storage_dir"),
        Template.SHAREDFILE.value: cluster.get("shared_file_storage_dir"),
    }
    return sorted(({name for name, has in possible.items() if has} | used) - {None})


def _disk_nodes(disk: Document, owner: Document | None) -> list[str]:
    if disk["dev_type"] == Template.DRBD:
        return list(disk["logical_id"][:2])
    return [owner["primary_node"]] if owner else []


def _map_disks(old: Document, change: Callable[[Document], Document]) -> Document:
    """Return the document with ``change`` applied to every disk inside an instance."""
    instances = {
        key: {
            **instance,
            "disks": [change(e) if isinstance(e, dict) else e for e in instance["disks"]],
        }
        for key, instance in old["instances"].items()
    }
    return {**old, "instances": instances}


def _map_children(disk: Document, change: Callable[[Document], Document]) -> Document:
    children: Iterator[Document] = map(change, disk.get("children") or ())
    return {**disk, "children": list(children)}


def _index_by_uuid(objects: Iterable[Document]) -> dict[str, Document]:
    return {each["uuid"]: each for each in objects}
