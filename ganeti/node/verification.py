# SPDX-License-Identifier: BSD-2-Clause
"""What a node finds when it looks at itself, for the verification of a cluster.

A master asks by a dictionary: each key is a check, its value what the check needs to know. The
keys and the forms of the answers are those that existing tools know.
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
from ganeti.node.setup_check import setup_problems
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.pki.validity import valid_until
from ganeti.rpc.node import (
    CERTIFICATES,
    HYPERVISOR_VERSIONS,
    OBSTACLES,
    OSDefinitionReport,
    VerifyNode,
)
from ganeti.storage.drbd import reading as drbd
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IDemanding, IUnits, IVolumes
from ganeti.system.interfaces import IFiles

Reach = Callable[[str, int], Awaitable[object]]
"""Opens a TCP connection to a host and port and closes it, within a bounded time."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Everything that checks look at.

    ``now`` is in seconds since the epoch; ``reach`` and ``port`` are the way to other nodes.
    """

    files: IFiles
    paths: Paths
    now: Callable[[], float]
    hypervisors: Mapping[str, IHypervisor]
    drivers: Mapping[Template, IVolumes]
    units: Mapping[str, IUnits]
    folders: AllowedFolders
    oses: Callable[[], Iterable[OSDefinitionReport]]
    reach: Reach
    port: int = NODED_PORT

    async def verify(self, call: VerifyNode) -> dict[str, Any]:
        """The findings of every check that was asked for.

        A check that cannot be made answers why. One that this node does not know has no answer,
        and neither has a storage path that is fine.

        :raises Invalid: a check was given something that it does not understand.
        """
        answers: dict[str, Any] = {}
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


FINE = object()
"""The answer of a check that only answers when something is wrong."""


@dataclass(frozen=True)
class Check:
    """A check, and the type of what it needs to know."""

    needs: Any
    make: Callable[[Checks, Any], Awaitable[Any]]


async def _version(node: Checks, _: object) -> list[Any]:
    return [CONFIG_VERSION, ganeti.__version__]


async def _time(node: Checks, _: object) -> list[int]:
    seconds, part = divmod(node.now(), 1)
    return [int(seconds), int(part * 1_000_000)]


async def _unreachable(node: Checks, peers: dict[str, list[str]]) -> dict[str, str]:
    """What is wrong with each node, by name, that does not answer at one of its addresses."""

    async def attempt(address: str) -> str:
        try:
            await node.reach(address, node.port)
        except (GanetiError, OSError) as e:
            return f"{address}: {e}"
        return ""

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


async def _hypervisors(node: Checks, names: list[str]) -> dict[str, str | None]:
    return {name: _hypervisor(node, name) for name in names}


def _hypervisor(node: Checks, name: str) -> str | None:
    if name not in node.hypervisors:
        return "is not there on this node"
    try:
        node.hypervisors[name].running()
    except (GanetiError, OSError) as e:
        return str(e)
    return None


async def _hypervisor_versions(
    node: Checks, hypervisors: dict[str, dict[str, Any]]
) -> dict[str, str]:
    found = {}
    for name, parameters in hypervisors.items():
        if name in node.hypervisors:
            # Where a program cannot be run, the start of a guest says why.
            with suppress(GanetiError, OSError):
                found[name] = await node.hypervisors[name].version(parameters)
    return found


async def _parameters(
    node: Checks, sets: list[tuple[str, str, dict[str, Any]]]
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


async def _fingerprints(node: Checks, names: list[str]) -> dict[str, str]:
    """Fingerprints of files that a master may replace, of those that are there."""
    places = replaceable(node.paths)
    there = {name: places[name] for name in names if name in places}
    return {
        name: hashlib.sha256(node.files.read(path)).hexdigest()
        for name, path in there.items()
        if node.files.stat(path) is not None
    }


async def _storage_folder(node: Checks, folder: str) -> object:
    try:
        place = node.folders.folder(folder)
    except Refused as e:
        return str(e)
    found = node.files.stat(place)
    return FINE if found is None or found.folder else f"{place} is no folder"


async def _forbidden_folders(node: Checks, _: object) -> list[str]:
    return list(node.folders.forbidden())


async def _scripts(node: Checks, paths: list[str]) -> list[str]:
    return [path for path in paths if not _runs(node, path)]


def _runs(node: Checks, path: str) -> bool:
    found = node.files.stat(path)
    return found is not None and not found.folder and bool(found.mode & stat.S_IXUSR)


async def _obstacles(node: Checks, templates: list[Template]) -> Any:
    demanding = {template: IDemanding(node.drivers.get(template), None) for template in templates}
    found = {
        template.value: obstacle
        for template, driver in demanding.items()
        if driver is not None and (obstacle := driver.obstacle())
    }
    return found or FINE


async def _oses(node: Checks, _: object) -> Any:
    return msgspec.to_builtins(list(node.oses()))


async def _groups(node: Checks, _: object) -> dict[str, int]:
    return {unit.name: unit.size for unit in await node.units["lvm-vg"].units()}


async def _devices(node: Checks, groups: list[str]) -> list[dict[str, Any]]:
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


async def _volumes(node: Checks, group: str) -> dict[str, tuple[str, bool, bool]]:
    return {
        volume.name: (f"{volume.size}.00", not volume.attached, volume.opened)
        for volume in await node.drivers[Template.PLAIN].volumes()
        if volume.name.startswith(f"{group}/")
    }


async def _certificate(node: Checks, _: object) -> list[str | None]:
    """What stands for this node's certificate, or a class of error and what is wrong."""
    try:
        return [None, fingerprint(node.files.read(node.paths.node_certificate))]
    except FileNotFoundError:
        return ["ERROR", f"there is no certificate in {node.paths.node_certificate}"]
    except Invalid as e:
        return ["ERROR", f"{node.paths.node_certificate}: {e}"]


async def _certificates(node: Checks, _: object) -> dict[str, float]:
    """The ends, in seconds since the epoch, of the certificates that this node has."""
    ends = {}
    for path in (node.paths.authority, node.paths.node_certificate, node.paths.rapi_certificate):
        if node.files.stat(path) is not None:
            # One that cannot be read is told of by whoever uses it.
            with suppress(Invalid):
                ends[path] = valid_until(node.files.read(path))
    return ends


async def _bridges(node: Checks, names: list[str]) -> list[str]:
    return [name for name in names if node.files.stat(f"/sys/class/net/{name}/bridge") is None]


async def _drbd_version(node: Checks, _: object) -> str | None:
    return drbd.version(_text(node, drbd.PROC))


async def _drbd_minors(node: Checks, _: object) -> list[int]:
    return sorted(drbd.minors(_text(node, drbd.PROC))) if _uses_kernel(node) else []


async def _drbd_helper(node: Checks, _: object) -> Any:
    """The program that the kernel calls when something happens to a mirror."""
    if not _uses_kernel(node):
        return FINE
    helper = _text(node, drbd.HELPER).strip()
    return bool(helper), helper or "DRBD is not loaded; modprobe drbd usermode_helper=/bin/true"


def _uses_kernel(node: Checks) -> bool:
    """Whether mirrored disks are the kernel's; those that are pretended demand nothing of it."""
    return IDemanding(node.drivers.get(Template.DRBD), None) is not None


async def _setup(node: Checks, _: object) -> list[str]:
    return list(setup_problems(node.files, node.paths))


def _text(node: Checks, path: str) -> str:
    if node.files.stat(path) is None:
        return ""
    return node.files.read(path).decode("utf-8", "replace")


CHECKS: Mapping[str, Check] = {
    "version": Check(Any, _version),
    "time": Check(Any, _time),
    "node-net-test": Check(dict[str, list[str]], _unreachable),
    "hypervisor": Check(list[str], _hypervisors),
    HYPERVISOR_VERSIONS: Check(dict[str, dict[str, Any]], _hypervisor_versions),
    "hvparms": Check(list[tuple[str, str, dict[str, Any]]], _parameters),
    "filelist": Check(list[str], _fingerprints),
    "file-storage-path": Check(str, _storage_folder),
    "shared-file-storage-path": Check(str, _storage_folder),
    "allowed-file-storage-paths": Check(Any, _forbidden_folders),
    "user-scripts": Check(list[str], _scripts),
    OBSTACLES: Check(list[Template], _obstacles),
    "oslist": Check(Any, _oses),
    "vglist": Check(Any, _groups),
    "pvlist": Check(list[str], _devices),
    "lvlist": Check(str, _volumes),
    "client-cert": Check(Any, _certificate),
    CERTIFICATES: Check(Any, _certificates),
    "drbd-version": Check(Any, _drbd_version),
    "drbd-list": Check(Any, _drbd_minors),
    "drbd-helper": Check(Any, _drbd_helper),
    "bridges": Check(list[str], _bridges),
    "nodesetup": Check(Any, _setup),
}
"""What can be asked: ``node-net-test`` takes addresses by node name, the rest names or paths."""
