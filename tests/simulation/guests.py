# SPDX-License-Identifier: BSD-2-Clause
"""Hosts that cannot do with guests and disks what they are asked for, at every step of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.rpc.disks import CreateDisk, RemoveDisk, RenameDisk
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    MigrationStatus,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.wire import CallRequest
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.hypervisor import STEPS
from ganeti.testing.simulated_host import SimulatedHost

FILE, DISKLESS = ("db1", "mail1", "db2"), ("web1", "web2")
"""The names of instances, with and without disks; the last one's is to rename others to."""

PAUSES = (0.0, 0.5, 3.0, 8.0)
"""How many seconds may pass between two steps: time for most of what is done."""

_ANY, _STOPPED = (*FILE, *DISKLESS), {"shutdown_timeout": 1}
WORK: dict[str, tuple[float, Sequence[str], dict[str, Any]]] = {
    "OP_INSTANCE_CREATE": (1.0, _ANY, {"mode": "create", "nics": [{}], "os_type": "noop"}),
    "OP_INSTANCE_REMOVE": (0.5, _ANY, _STOPPED),
    "OP_INSTANCE_STARTUP": (2.0, _ANY, {}),
    "OP_INSTANCE_SHUTDOWN": (3.0, _ANY, {"timeout": 1}),
    "OP_INSTANCE_REBOOT": (1.0, _ANY, {"reboot_type": "full", **_STOPPED}),
    "OP_INSTANCE_MIGRATE": (4.0, DISKLESS, {}),
    "OP_INSTANCE_FAILOVER": (2.0, DISKLESS, _STOPPED),
    "OP_INSTANCE_MOVE": (3.0, FILE, _STOPPED),
    "OP_INSTANCE_RENAME": (2.0, FILE, {}),
}
"""What is done: each opcode, its share, with what instances, and some of its parameters."""

_STEPS = (*STEPS, "start", "stop", "stop", "stop hard")
_IMAGES = ("create", "rename", "remove")
_CALLS = (
    StartInstanceCall,
    StopInstance,
    MigrationStatus,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    CreateDisk,
    RenameDisk,
    RemoveDisk,
)


def with_instances(cluster: SimulatedCluster) -> None:
    """Create the first instances."""
    for name in _ANY:
        if name != FILE[-1]:
            cluster.submit(_work("OP_INSTANCE_CREATE", name, cluster.random))
    cluster.finish_jobs()


def some_work(random: Random) -> Opcode:
    """Return something to be done with an instance or, now and then, to settle a move of it."""
    if random.random() < 0.1:
        name = random.choice(DISKLESS)
        return read_opcode({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": name, "cleanup": True})
    [op_id] = random.choices(list(WORK), [share for share, _, _ in WORK.values()])
    return _work(op_id, random.choice(WORK[op_id][1]), random)


def _work(op_id: str, name: str, random: Random) -> Opcode:
    more: dict[str, Any] = {}
    match op_id:
        case "OP_INSTANCE_CREATE" if name in FILE:
            more = {"disk_template": "file", "disks": [{"size": 64}]}
        case "OP_INSTANCE_CREATE":
            more = {"disk_template": "diskless", "disks": []}
        case "OP_INSTANCE_MOVE":
            more = {"target_node": f"node{random.randint(1, 3)}"}
        case "OP_INSTANCE_RENAME":
            more = {"new_name": FILE[-1] if name != FILE[-1] else FILE[0]}
    return read_opcode({"OP_ID": op_id, "instance_name": name, **WORK[op_id][2], **more})


def misbehave(cluster: SimulatedCluster) -> None:
    """Let all hosts, or one of them, fail at a step of what is done with guests and disks."""
    random, network = cluster.random, cluster.network
    for host in cluster.hosts:
        behave(host)
        network.behave(host.name)
    for host in random.choice((cluster.hosts, [random.choice(cluster.hosts)])):
        match random.randrange(10):
            case 0 | 1:
                host.guests.breaks_at = random.choice(_STEPS)
            case 2:
                host.images.breaks_at = random.choice(_IMAGES)
            case 3:
                host.guests.stubborn = set(_ANY)
            case 4:
                host.guests.unstartable = {random.choice(_ANY)}
            case 5:
                network.lose_answer(host.name, call=random.choice(_CALLS).wire)
            case 6:
                network.lose_request(host.name, call=random.choice(_CALLS).wire)
            case 7:
                # A guest that is not sent, as nobody hears.
                host.guests.breaks_at = "sending"
                network.lose_request(host.name, call=MigrationStatus.wire)
            case 8:
                _let_master_die(cluster, host)


def _let_master_die(cluster: SimulatedCluster, host: SimulatedHost) -> None:
    """Let the master be killed when it asks a host for something, before that is done or after."""
    wire, first = cluster.random.choice(_CALLS).wire, cluster.random.random() < 0.5

    async def how(request: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
        if request.name == wire and first:
            cluster.process.die()
        answered = await answer()
        if request.name == wire:
            cluster.process.die()
        return answered

    cluster.network.misbehave(host.name, how)


def behave(host: SimulatedHost) -> None:
    """Let a host do with guests and disks what it is asked for."""
    host.guests.breaks_at = host.images.breaks_at = None
    host.guests.stubborn, host.guests.unstartable = set(), set()
