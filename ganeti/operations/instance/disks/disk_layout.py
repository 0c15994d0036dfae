# SPDX-License-Identifier: BSD-2-Clause
"""The records of new disks by template."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ganeti.config.changes.instances import NO_MINOR, NO_PORT
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import (
    DRBD_METADATA_SIZE,
    FORMAT,
    POOL,
    SUPPORTED_TEMPLATES,
    Disk,
    DiskFormat,
    DiskMode,
    Template,
)
from ganeti.model.group import Group
from ganeti.model.parameters.filling import fill_disk
from ganeti.model.unsupported import format_unsupported_template
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.operation import Identifiers
from ganeti.schema.records import replace


@dataclass(frozen=True)
class DiskLocation:
    """The location of new disks: the instance's name, its node UUIDs (the primary first), and
    directory and driver for file disks.
    """

    instance: str
    nodes: Sequence[str]
    folder: str | None = None
    driver: str | None = None


Layout: TypeAlias = Callable[[DiskSpec, int, DiskLocation, ClusterState, Identifiers], Disk]


def lay_out(
    wishes: Sequence[DiskSpec],
    template: Template,
    site: DiskLocation,
    state: ClusterState,
    ids: Identifiers,
    *,
    first: int = 0,
) -> tuple[Disk, ...]:
    """Return the records of new disks, numbered from ``first``, without times."""
    if template is Template.DISKLESS:
        return ()
    layout = LAYOUTS[template]
    return tuple(
        layout(wish, index, site, state, ids) for index, wish in enumerate(wishes, start=first)
    )


def check_template(template: Template, cluster: Cluster) -> None:
    """Check that the cluster can create disks of a template.

    :raises Refused: it is not enabled or supported, or a cluster setting is missing.
    """
    enabled = cluster.enabled_disk_templates
    if template.value not in enabled:
        raise Refused(
            f"disk template {template.value} is not enabled; enabled are: {', '.join(enabled)}"
        )
    if template not in SUPPORTED_TEMPLATES:
        raise Refused(format_unsupported_template(template))
    setting = _REQUIRED_SETTINGS.get(template)
    if setting is not None and not getattr(cluster, setting):
        raise Refused(
            f"disk template {template.value} requires the cluster setting {setting}; "
            "see gnt-cluster modify"
        )


def _file(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    return _file_in_directory(Template.FILE, state.cluster.file_storage_dir, wish, index, site, ids)


def _shared(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    folder = state.cluster.shared_file_storage_dir
    return _file_in_directory(Template.SHAREDFILE, folder, wish, index, site, ids)


def _file_in_directory(
    template: Template, top: str, wish: DiskSpec, index: int, site: DiskLocation, ids: Identifiers
) -> Disk:
    # A folder with .. in its name would otherwise lead out of the top one.
    folder = posixpath.normpath(posixpath.join(top, site.folder or ""))
    if folder != top and not folder.startswith(top.rstrip("/") + "/"):
        raise Refused(f"directory {site.folder} is not below {top}", Code.INPUT)
    path = posixpath.join(folder, site.instance, f"{ids.uuid()}.{template.value}.disk{index}")
    logical_id = (site.driver or "loop", path)
    made = _disk(template, logical_id, site.nodes[:1], wish, f"disk/{index}", ids)
    # A raw file has no parameter: Ganeti knows none for files.
    return made if wish.format is DiskFormat.RAW else replace(made, params={FORMAT: wish.format})


def _plain(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    group = wish.vg or state.cluster.volume_group_name
    logical_id = (group, f"{ids.uuid()}.disk{index}")
    made = _disk(Template.PLAIN, logical_id, site.nodes[:1], wish, f"disk/{index}", ids)
    pool = choose_pool(wish, state.groups[state.nodes[site.nodes[0]].group], state.cluster)
    return replace(made, params={POOL: pool}) if pool else made


def choose_pool(wish: DiskSpec, group: Group, cluster: Cluster) -> str:
    """Return the thin pool of a new plain disk on a node of ``group``; empty for none."""
    # A volume that is adopted stays where it is.
    if wish.pool is not None or wish.adopt is not None:
        return wish.pool or ""
    return str(fill_disk(cluster, group, Template.PLAIN)[POOL])


def list_unit_sizes(
    wishes: Sequence[DiskSpec], template: Template, group: Group, cluster: Cluster
) -> list[int]:
    """Return the sizes of new disks whose space is that of their storage unit, in MiB.

    Those in a thin pool are checked by the node; see ``candidates.list_sizes``.
    """
    if template is not Template.PLAIN:
        return [wish.size for wish in wishes]
    return [wish.size for wish in wishes if not choose_pool(wish, group, cluster)]


def _drbd(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    group = wish.vg or state.cluster.volume_group_name
    unique = ids.uuid()
    data = (group, f"{unique}.disk{index}_data")
    there = state.groups[state.nodes[site.nodes[0]].group]
    usual = fill_disk(state.cluster, there, Template.DRBD)["metavg"]
    meta = (wish.metavg or usual or group, f"{unique}.disk{index}_meta")
    children = (
        _disk(Template.PLAIN, data, site.nodes, DiskSpec(size=wish.size), "", ids),
        _disk(Template.PLAIN, meta, site.nodes, DiskSpec(size=DRBD_METADATA_SIZE), "", ids),
    )
    # Port and minors are allocated when the disk is added to the configuration.
    logical_id = (*site.nodes, NO_PORT, NO_MINOR, NO_MINOR, ids.secret())
    return _disk(
        Template.DRBD, logical_id, site.nodes, wish, f"disk/{index}", ids, children=children
    )


def _ext(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    logical_id = (wish.provider, f"{ids.uuid()}.ext.disk{index}")
    made = _disk(Template.EXT, logical_id, site.nodes[:1], wish, f"disk/{index}", ids)
    return replace(made, params=dict(wish.params))


def _blockdev(
    wish: DiskSpec, index: int, site: DiskLocation, state: ClusterState, ids: Identifiers
) -> Disk:
    logical_id = ("manual", wish.adopt)
    return _disk(Template.BLOCKDEV, logical_id, site.nodes[:1], wish, f"disk/{index}", ids)


def _disk(
    template: Template,
    logical_id: tuple[Any, ...],
    nodes: Sequence[str],
    wish: DiskSpec,
    iv_name: str,
    ids: Identifiers,
    *,
    children: tuple[Disk, ...] = (),
) -> Disk:
    return Disk(
        uuid=ids.uuid(),
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        dev_type=template,
        logical_id=logical_id,
        children=children,
        nodes=tuple(nodes),
        iv_name=iv_name,
        size=wish.size,
        mode=wish.mode if iv_name else DiskMode.READ_WRITE,
        name=wish.name,
        spindles=wish.spindles,
        params={},
    )


LAYOUTS: Mapping[Template, Layout] = {
    Template.FILE: _file,
    Template.SHAREDFILE: _shared,
    Template.PLAIN: _plain,
    Template.DRBD: _drbd,
    Template.EXT: _ext,
    Template.BLOCKDEV: _blockdev,
}

_REQUIRED_SETTINGS: Mapping[Template, str] = {
    Template.FILE: "file_storage_dir",
    Template.SHAREDFILE: "shared_file_storage_dir",
    Template.PLAIN: "volume_group_name",
    Template.DRBD: "volume_group_name",
}
