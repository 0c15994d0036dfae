# SPDX-License-Identifier: BSD-2-Clause
"""The checks that a node runs on itself for the verification of a cluster.

The master sends a dictionary whose keys are checks and whose values are their arguments. The keys
and the forms of the answers are those that existing tools expect.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults

import ganeti
from ganeti.errors import GanetiError, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.disk import Template
from ganeti.node.files import replaceable
from ganeti.node.setup_check import find_setup_problems
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.pki.validity import read_end_of_validity
from ganeti.rpc.node import (
    CERTIFICATES,
    FULL_FILE_SYSTEMS,
    HYPERVISOR_VERSIONS,
    MISSING_PROGRAMS,
    STORAGE_OBSTACLES,
    STORAGE_SHORTAGES,
    OSDefinitionReport,
    VerifyNode,
)
from ganeti.schema.types import JsonValue
from ganeti.storage.drbd import status_parsers as drbd
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import (
    IHasRequirements,
    IReportsShortages,
    IStorageUnits,
    IVolumes,
)
from ganeti.system.interfaces import MINIMAL_PATH, FileSystemSpace, IFiles

ProbeFunction = Callable[[str, int], Awaitable[object]]
"""Opens and closes a TCP connection to a host and port, within a time limit."""


@dataclass(frozen=True, kw_only=True)
class NodeChecks:
    """The objects that checks inspect.

    ``now`` is in seconds since the epoch; ``reach`` and ``port`` connect to other nodes; ``space``
    returns that of the file system with a folder.
    """

    files: IFiles
    paths: Paths
    now: Callable[[], float]
    hypervisors: Mapping[str, IHypervisor]
    drivers: Mapping[Template, IVolumes]
    units: Mapping[str, IStorageUnits]
    folders: AllowedFolders
    oses: Callable[[], Iterable[OSDefinitionReport]]
    reach: ProbeFunction
    space: Callable[[str], Awaitable[FileSystemSpace]]
    port: int = NODED_PORT

    async def verify(self, call: VerifyNode) -> dict[str, object]:
        """Return the findings of every requested check.

        A check that fails answers with the reason. Unknown checks have no answer, and neither has a
        storage path without a problem.

        :raises Invalid: a check has a malformed argument.
        """
        answers: dict[str, object] = {}
        for key, argument in call.what.items():
            if key not in CHECKS:
                continue
            check = CHECKS[key]
            try:
                known = msgspec.convert(argument, check.needs)
            except msgspec.ValidationError as e:
                raise Invalid([Problem(f"what.{key}", str(e))]) from None
            try:
                found = await check.make(self, known)
            except (GanetiError, OSError) as e:
                found = str(e)
            if found is not FINE:
                answers[key] = found
        return answers


PROGRAMS = "/usr"
"""Where programs are installed."""

FINE = object()
"""The result of a check that has nothing to report."""


@dataclass(frozen=True)
class Check:
    """A check and the type of its argument."""

    needs: Any
    make: Callable[[NodeChecks, Any], Awaitable[object]]


async def _check_version(node: NodeChecks, _: object) -> list[object]:
    return [CONFIG_VERSION, ganeti.__version__]


async def _check_time(node: NodeChecks, _: object) -> list[int]:
    seconds, part = divmod(node.now(), 1)
    return [int(seconds), int(part * 1_000_000)]


async def _find_unreachable(node: NodeChecks, peers: dict[str, list[str]]) -> dict[str, str]:
    """Return the connection problems by node name, of nodes that do not answer on all addresses."""

    async def attempt(address: str) -> str:
        try:
            await node.reach(address, node.port)
        except (GanetiError, OSError) as e:
            return f"{address}: {e}"
        return ""

    # Without duplicates: the secondary address is often the primary one.
    targets = [
        (name, each) for name, addresses in peers.items() for each in dict.fromkeys(addresses)
    ]
    tried = await gatherResults(
        [Deferred.fromCoroutine(attempt(address)) for _, address in targets]
    )
    found: dict[str, str] = {}
    for (name, _), problem in zip(targets, tried, strict=True):
        if problem:
            found[name] = f"{found[name]}; {problem}" if name in found else problem
    return found


async def _check_hypervisors(node: NodeChecks, names: list[str]) -> dict[str, str | None]:
    return {name: _check_hypervisor(node, name) for name in names}


def _check_hypervisor(node: NodeChecks, name: str) -> str | None:
    if name not in node.hypervisors:
        return "is not available on this node"
    try:
        node.hypervisors[name].running()
    except (GanetiError, OSError) as e:
        return str(e)
    return None


async def _list_hypervisor_versions(
    node: NodeChecks, hypervisors: dict[str, dict[str, object]]
) -> dict[str, str]:
    found = {}
    for name, parameters in hypervisors.items():
        if name in node.hypervisors:
            # If its program cannot be run, the start of a guest reports why.
            with suppress(GanetiError, OSError):
                found[name] = await node.hypervisors[name].version(parameters)
    return found


async def _check_parameters(
    node: NodeChecks, sets: list[tuple[str, str, dict[str, object]]]
) -> list[tuple[str, str, str]]:
    found = []
    for source, hypervisor, parameters in sets:
        if hypervisor not in node.hypervisors:
            continue
        try:
            await node.hypervisors[hypervisor].validate(parameters)
        except GanetiError as e:
            found.append((source, hypervisor, str(e)))
    return found


async def _digest_files(node: NodeChecks, names: list[str]) -> dict[str, str]:
    """Return the digests of existing files that a master may replace."""
    places = replaceable(node.paths)
    there = {name: places[name] for name in names if name in places}
    return {
        name: hashlib.sha256(node.files.read(path)).hexdigest()
        for name, path in there.items()
        if node.files.stat(path) is not None
    }


async def _check_storage_folder(node: NodeChecks, folder: str) -> object:
    try:
        place = node.folders.folder(folder)
    except Refused as e:
        return str(e)
    found = node.files.stat(place)
    return FINE if found is None or found.folder else f"{place} is not a folder"


async def _list_forbidden_folders(node: NodeChecks, _: object) -> list[str]:
    return list(node.folders.forbidden())


async def _check_scripts(node: NodeChecks, paths: list[str]) -> list[str]:
    return [path for path in paths if not _is_executable(node, path)]


def _is_executable(node: NodeChecks, path: str) -> bool:
    found = node.files.stat(path)
    return found is not None and not found.folder and bool(found.mode & stat.S_IXUSR)


async def _find_obstacles(node: NodeChecks, templates: list[Template]) -> object:
    demanding = {
        template: IHasRequirements(node.drivers.get(template), None) for template in templates
    }
    found = {
        template.value: obstacle
        for template, driver in demanding.items()
        if driver is not None and (obstacle := driver.obstacle())
    }
    return found or FINE


async def _find_shortages(node: NodeChecks, templates: list[Template]) -> object:
    """Return what storage of these templates runs out of, in sentences."""
    found = [
        shortage
        for template in templates
        if (storage := IReportsShortages(node.drivers.get(template), None)) is not None
        for shortage in await storage.find_shortages()
    ]
    return found or FINE


async def _list_oses(node: NodeChecks, _: object) -> object:
    return msgspec.to_builtins(list(node.oses()))


async def _list_volume_groups(node: NodeChecks, _: object) -> dict[str, int]:
    return {unit.name: unit.size for unit in await node.units["lvm-vg"].units()}


async def _list_physical_volumes(node: NodeChecks, groups: list[str]) -> list[dict[str, object]]:
    return [
        {
            "name": unit.name,
            "vg_name": unit.group,
            "size": unit.size,
            "free": unit.free,
            "attributes": ("a" if unit.allocatable else "u") + "-" + ("-" if unit.healthy else "m"),
        }
        for unit in await node.units["lvm-pv"].units()
        if unit.group in groups
    ]


async def _list_volumes(node: NodeChecks, group: str) -> dict[str, tuple[str, bool, bool]]:
    return {
        volume.name: (f"{volume.size}.00", not volume.attached, volume.opened)
        for volume in await node.drivers[Template.PLAIN].volumes()
        if volume.name.startswith(f"{group}/")
    }


async def _check_certificate(node: NodeChecks, _: object) -> list[str | None]:
    """Return the fingerprint of this node's certificate, or an error class and the problem."""
    try:
        return [None, fingerprint(node.files.read(node.paths.node_certificate))]
    except FileNotFoundError:
        return ["ERROR", f"the certificate {node.paths.node_certificate} does not exist"]
    except Invalid as e:
        return ["ERROR", f"{node.paths.node_certificate}: {e}"]


async def _list_certificate_ends(node: NodeChecks, _: object) -> dict[str, float]:
    """Return the ends of validity of this node's certificates, in seconds since the epoch."""
    ends = {}
    for path in (node.paths.authority, node.paths.node_certificate, node.paths.rapi_certificate):
        if node.files.stat(path) is not None:
            # The users of an unreadable certificate report it.
            with suppress(Invalid):
                ends[path] = read_end_of_validity(node.files.read(path))
    return ends


async def _find_missing_bridges(node: NodeChecks, names: list[str]) -> list[str]:
    return [name for name in names if node.files.stat(f"/sys/class/net/{name}/bridge") is None]


async def _find_missing_programs(node: NodeChecks, names: list[str]) -> list[str]:
    folders = MINIMAL_PATH.split(":")
    return [
        name
        for name in names
        if all(node.files.stat(f"{folder}/{name}") is None for folder in folders)
    ]


async def _read_drbd_version(node: NodeChecks, _: object) -> str | None:
    return drbd.version(_read_text(node, drbd.PROC))


async def _list_drbd_minors(node: NodeChecks, _: object) -> list[int]:
    return sorted(drbd.minors(_read_text(node, drbd.PROC))) if _uses_kernel(node) else []


async def _read_drbd_helper(node: NodeChecks, _: object) -> object:
    """Return the user-mode helper that the kernel calls on events of a mirror."""
    if not _uses_kernel(node):
        return FINE
    helper = _read_text(node, drbd.HELPER).strip()
    return bool(helper), helper or f"DRBD is not loaded; {drbd.describe_loading()}"


def _uses_kernel(node: NodeChecks) -> bool:
    """Return whether mirrored disks use DRBD in the kernel; simulated ones do not."""
    return IHasRequirements(node.drivers.get(Template.DRBD), None) is not None


async def _find_full_file_systems(node: NodeChecks, needed: int) -> object:
    """Return the free MiB of folders that have less than ``needed``."""
    folders = (PROGRAMS, node.paths.data, node.paths.log)
    found = {folder: (await node.space(folder)).free >> 20 for folder in folders}
    return {folder: free for folder, free in found.items() if free < needed} or FINE


async def _check_setup(node: NodeChecks, _: object) -> list[str]:
    return list(find_setup_problems(node.files, node.paths))


def _read_text(node: NodeChecks, path: str) -> str:
    if node.files.stat(path) is None:
        return ""
    return node.files.read(path).decode("utf-8", "replace")


CHECKS: Mapping[str, Check] = {
    "version": Check(JsonValue, _check_version),
    "time": Check(JsonValue, _check_time),
    "node-net-test": Check(dict[str, list[str]], _find_unreachable),
    "hypervisor": Check(list[str], _check_hypervisors),
    HYPERVISOR_VERSIONS: Check(dict[str, dict[str, JsonValue]], _list_hypervisor_versions),
    "hvparms": Check(list[tuple[str, str, dict[str, JsonValue]]], _check_parameters),
    "filelist": Check(list[str], _digest_files),
    "file-storage-path": Check(str, _check_storage_folder),
    "shared-file-storage-path": Check(str, _check_storage_folder),
    "allowed-file-storage-paths": Check(JsonValue, _list_forbidden_folders),
    "user-scripts": Check(list[str], _check_scripts),
    STORAGE_OBSTACLES: Check(list[Template], _find_obstacles),
    STORAGE_SHORTAGES: Check(list[Template], _find_shortages),
    "oslist": Check(JsonValue, _list_oses),
    "vglist": Check(JsonValue, _list_volume_groups),
    "pvlist": Check(list[str], _list_physical_volumes),
    "lvlist": Check(str, _list_volumes),
    "client-cert": Check(JsonValue, _check_certificate),
    CERTIFICATES: Check(JsonValue, _list_certificate_ends),
    "drbd-version": Check(JsonValue, _read_drbd_version),
    "drbd-list": Check(JsonValue, _list_drbd_minors),
    "drbd-helper": Check(JsonValue, _read_drbd_helper),
    "bridges": Check(list[str], _find_missing_bridges),
    MISSING_PROGRAMS: Check(list[str], _find_missing_programs),
    FULL_FILE_SYSTEMS: Check(int, _find_full_file_systems),
    "nodesetup": Check(JsonValue, _check_setup),
}
"""Checks by key: ``node-net-test`` takes addresses by node name, others names or paths."""
