# SPDX-License-Identifier: BSD-2-Clause
"""Reservation of instances (forthcoming), and the requests that create what was reserved.

A reservation is an instance of the configuration without anything on a node. To create it, its
record and those of its disks are kept, so that all that it holds stays the same. A request may
repeat what was reserved; what it says otherwise is refused, except for what takes no resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ganeti.config.changes.instances import remove_instance
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.disk import FORMAT, POOL, Disk, Template, get_format, get_pool
from ganeti.model.instance import Instance, Nic
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import fill_backend, fill_nic
from ganeti.model.parameters.parsing import validate_with_defaults
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.instance.create.disk_adoption import adopts
from ganeti.schema.records import replace
from ganeti.schema.size_units import mebibytes
from ganeti.schema.types import Value


def prepare_reservation(op: CreateInstance) -> CreateInstance:
    """Return the request to reserve an instance as one that installs and starts nothing.

    :raises Invalid: it is about data that exist already, or also creates the instance.
    """
    problems = []
    if op.commit:
        problems.append(Problem("commit", "and forthcoming exclude each other"))
    if op.mode is not CreationMode.CREATE:
        message = "must be create for a reservation; import into a new instance instead"
        problems.append(Problem("mode", message))
    if adopts(op):
        problems.append(Problem("disks", "cannot adopt volumes that are only reserved"))
    if problems:
        raise Invalid(problems)
    return replace(op, start=False, no_install=True)


def find_reservation(op: CreateInstance, state: ClusterState) -> Instance:
    """Return the reservation that ``op`` creates.

    :raises Refused: there is no instance with this name, or it exists already.
    """
    instance = state.find_instance(op.instance_name)
    if instance is None:
        raise Refused(
            f"instance {op.instance_name} is not reserved; reserve it first (gnt-instance add"
            " --forthcoming), or create it without --commit",
            Code.UNKNOWN,
        )
    if not instance.forthcoming:
        raise Refused(
            f"instance {instance.name} exists already; only reserved instances can be created with"
            " --commit",
            Code.EXISTS,
        )
    return instance


def without_reservation(instance: Instance, state: ClusterState) -> ClusterState:
    """Return the state in which the reservation holds nothing."""
    return remove_instance(instance)(state)


def complete_by_reservation(op: CreateInstance, state: ClusterState) -> CreateInstance:
    """Return the request with all that was reserved.

    :raises Refused: there is no such reservation.
    :raises Invalid: the request differs from it where resources are concerned.
    """
    instance = find_reservation(op, state)
    if problems := list(_find_differences(op, instance, state)):
        raise Invalid(problems)
    secondaries = state.get_secondaries(instance)
    return replace(
        op,
        beparams=instance.beparams,
        disks=tuple(describe_disk(disk) for disk in state.get_disks(instance)),
        disk_template=state.get_template(instance),
        group_name=None,
        hvparams={**instance.hvparams, **op.hvparams},
        hypervisor=Hypervisor(instance.hypervisor),
        iallocator=None,
        nics=tuple(_request_nic(nic) for nic in instance.nics),
        opportunistic_locking=False,
        os_type=op.os_type or instance.os or None,
        osparams={**instance.osparams, **op.osparams},
        osparams_private={**instance.osparams_private, **(op.osparams_private or {})} or None,
        pnode=state.nodes[instance.primary_node].name,
        pnode_uuid=None,
        snode=state.nodes[secondaries[0]].name if secondaries else None,
        snode_uuid=None,
        tags=tuple(sorted({*instance.tags, *op.tags})),
    )


_HINT = "; leave it out, or remove the reservation and make another one"


def _find_differences(
    op: CreateInstance, instance: Instance, state: ClusterState
) -> Iterator[Problem]:
    if op.mode is not CreationMode.CREATE:
        yield Problem("mode", "must be create for a reserved instance")
    if op.iallocator is not None:
        yield Problem("iallocator", f"is not used, as the reservation has its nodes{_HINT}")
    for name in ("file_driver", "file_storage_dir"):
        if getattr(op, name) is not None:
            yield Problem(name, f"belongs to the reservation{_HINT}")
    nodes = (instance.primary_node, *state.get_secondaries(instance))
    primary, secondary = state.nodes[nodes[0]], state.nodes[nodes[1]] if nodes[1:] else None
    reserved = {
        "disk_template": state.get_template(instance).value,
        "hypervisor": instance.hypervisor,
    }
    for name, value in reserved.items():
        given = getattr(op, name)
        if given is not None and given.value != value:
            yield _differs(name, given.value, value)
    given_nodes = {
        "pnode": (op.pnode_uuid or op.pnode, primary),
        "snode": (op.snode_uuid or op.snode, secondary),
    }
    for name, (wanted, node) in given_nodes.items():
        if wanted is not None and state.node(wanted) != node:
            yield _differs(name, wanted, node.name if node else None)
    group = state.groups[primary.group]
    if op.group_name is not None and state.group(op.group_name) != group:
        yield _differs("group_name", op.group_name, group.name)
    yield from _find_backend_differences(op, instance, state)
    disks = state.get_disks(instance)
    yield from _compare("disks", op.disks, [describe_disk(disk) for disk in disks])
    yield from _compare("nics", op.nics, [_describe_nic(nic, state) for nic in instance.nics])


def _find_backend_differences(
    op: CreateInstance, instance: Instance, state: ClusterState
) -> Iterator[Problem]:
    present = fill_backend(state.cluster, instance)
    wanted = validate_with_defaults(Backend, op.beparams, present, path="beparams")
    for name, value in wanted.items():
        if value != present.get(name):
            yield _differs(f"beparams/{name}", value, present.get(name))


def _differs(path: str, given: object, reserved: object) -> Problem:
    return Problem(path, f"is {given}, but reserved was {reserved}{_HINT}")


_CHOSEN = frozenset({"auto", "generate", "pool"})
"""Values of addresses that are chosen, as was done for the reservation."""


def _compare(
    path: str, given: Sequence[Mapping[Any, Value]], reserved: Sequence[Mapping[str, Value]]
) -> Iterator[Problem]:
    """Yield what devices of a request have that the reserved ones have not; none may be given."""
    if given and len(given) != len(reserved):
        yield _differs(path, f"{len(given)} devices", f"{len(reserved)} devices")
        return
    for number, (wish, held) in enumerate(zip(given, reserved, strict=False)):
        for name, value in wish.items():
            wanted = mebibytes(value) if name == "size" and isinstance(value, str) else value
            present = held.get(name)
            wanted, present = (None if each == "none" else each for each in (wanted, present))
            if wanted not in _CHOSEN and not _equal(wanted, present):
                yield _differs(f"{path}[{number}]/{name}", value, held.get(name))


def _equal(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return one == other


def describe_disk(disk: Disk) -> dict[str, Value]:
    """Return the disk as a request has it."""
    found: dict[str, Value] = {"size": disk.size, "mode": disk.mode.value}
    for name, value in (("name", disk.name), ("spindles", disk.spindles)):
        if value is not None:
            found[name] = value
    match disk.dev_type:
        case Template.PLAIN:
            found["vg"], found[POOL] = disk.logical_id[0], get_pool(disk) or "none"
        case Template.DRBD:
            found["vg"], found["metavg"] = (child.logical_id[0] for child in disk.children)
        case Template.FILE | Template.SHAREDFILE:
            found[FORMAT] = get_format(disk).value
        case Template.EXT:
            found |= {**(disk.params or {}), "provider": disk.logical_id[0]}
    return found


def _request_nic(nic: Nic) -> dict[str, Value]:
    """Return the network card as a request has it."""
    settings = {} if nic.network else dict(nic.nicparams)
    own = {"mac": nic.mac, "ip": nic.ip, "network": nic.network, "name": nic.name}
    return {**settings, **{name: value for name, value in own.items() if value is not None}}


def _describe_nic(nic: Nic, state: ClusterState) -> dict[str, Value]:
    """Return all that a request may repeat of a network card."""
    network = None if nic.network is None else state.networks[nic.network].name
    own = {"mac": nic.mac, "ip": nic.ip, "network": network, "name": nic.name}
    filled = fill_nic(state.cluster, nic)
    return {**filled, "bridge": filled["link"], **own}
