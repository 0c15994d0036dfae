# SPDX-License-Identifier: BSD-2-Clause
"""What happens to a simulated cluster: random work and random trouble."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

from ganeti.config.formats import Checkpoint
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.schema.records import replace
from ganeti.testing.cluster import MasterProcess, SimulatedCluster
from tests.simulation.end_state import leftovers
from tests.simulation.oracle import Oracle

NAMES = ("web1", "web2", "db1", "mail1")


def some_work(random: Random) -> Opcode:
    """An opcode that anybody might submit."""
    name = random.choice(NAMES)
    return read_opcode(random.choice(_WORK)(name, random))


def _create(name: str, random: Random) -> dict[str, Any]:
    file = random.random() < 0.5
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "disk_template": "file" if file else "diskless",
        "disks": [{"size": 64}] if file else [],
        "nics": [{}],
        "os_type": "noop",
        "start": random.random() < 0.8,
    }


def _several(name: str, random: Random) -> dict[str, Any]:
    orders = [_create(each, random) for each in NAMES[: random.randint(1, 3)]]
    return {"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "instances": orders}


def _about(op_id: str, **more: Any) -> Any:
    return lambda name, random: {"OP_ID": op_id, "instance_name": name, **more}


def _tag(name: str, random: Random) -> dict[str, Any]:
    tag = random.choice(("a", "b", "c"))
    op_id = random.choice(("OP_TAGS_SET", "OP_TAGS_DEL"))
    return {"OP_ID": op_id, "kind": "instance", "name": name, "tags": [tag]}


def _rename(name: str, random: Random) -> dict[str, Any]:
    return {
        "OP_ID": "OP_INSTANCE_RENAME",
        "instance_name": name,
        "new_name": random.choice(NAMES),
    }


def _move(name: str, random: Random) -> dict[str, Any]:
    target = f"node{random.randint(1, 3)}"
    return {**_about("OP_INSTANCE_MOVE", shutdown_timeout=1)(name, random), "target_node": target}


def _evacuate(name: str, random: Random) -> dict[str, Any]:
    op_id = random.choice(("OP_NODE_EVACUATE", "OP_NODE_MIGRATE"))
    mode = {"mode": "primary-only"} if op_id == "OP_NODE_EVACUATE" else {}
    return {"OP_ID": op_id, "node_name": f"node{random.randint(1, 3)}", **mode}


_WORK = (
    _create,
    _create,
    _create,
    _several,
    _about("OP_INSTANCE_REMOVE", shutdown_timeout=1),
    _about("OP_INSTANCE_STARTUP"),
    _about("OP_INSTANCE_STARTUP"),
    _about("OP_INSTANCE_SHUTDOWN", timeout=1),
    _about("OP_INSTANCE_REBOOT", reboot_type="hard", shutdown_timeout=1),
    _about("OP_INSTANCE_REBOOT", reboot_type="full", shutdown_timeout=1),
    _about("OP_INSTANCE_REINSTALL"),
    _about("OP_INSTANCE_MIGRATE"),
    _about("OP_INSTANCE_MIGRATE"),
    _about("OP_INSTANCE_MIGRATE", allow_failover=True),
    _about("OP_INSTANCE_MIGRATE", cleanup=True),
    _about("OP_INSTANCE_FAILOVER", shutdown_timeout=1),
    _about("OP_INSTANCE_FAILOVER", shutdown_timeout=1),
    _rename,
    _move,
    _move,
    _evacuate,
    _tag,
    lambda name, random: {"OP_ID": "OP_TEST_DELAY", "duration": random.uniform(0, 3)},
    lambda name, random: {"OP_ID": "OP_CLUSTER_VERIFY"},
    lambda name, random: {"OP_ID": "OP_CLUSTER_REPAIR_DISK_SIZES"},
)


def some_job(random: Random, acknowledged: Sequence[int]) -> list[Opcode]:
    """Return a job that anybody might submit, which may depend on one that was acknowledged."""
    opcodes = [some_work(random) for _ in range(random.choice((1, 1, 2)))]
    if acknowledged and random.random() < 0.2:
        ended = random.choice(((), ("success",), ("error", "canceled")))
        depends = ((random.choice(acknowledged[-5:]), ended),)
        opcodes[0] = replace(opcodes[0], depends=depends)
    return opcodes


def some_cancellation(random: Random, cluster: SimulatedCluster, master: MasterProcess) -> None:
    """Cancel one of the last jobs now and then, whatever it does."""
    if cluster.acknowledged and random.random() < 0.1:
        cluster.cancel(random.choice(cluster.acknowledged[-5:]), at=master)


def some_trouble(cluster: SimulatedCluster) -> None:
    """Something goes wrong with a node, or gets better."""
    random, network = cluster.random, cluster.network
    host = random.choice(cluster.hosts)
    match random.randrange(8):
        case 0:
            network.vanish(host.name)
        case 1:
            network.slow(host.name, random.uniform(0.1, 8.0))
        case 2:
            network.lose_request(host.name, random.randint(1, 5))
        case 3:
            network.lose_answer(host.name, random.randint(1, 5))
        case 4:
            network.garbage(host.name)
        case 5:
            cluster.restart_node(host)
        case _:
            network.behave(host.name)


def storm(cluster: SimulatedCluster, steps: int, *, trouble: float, cancel: bool = False) -> None:
    """Submit work while things go wrong with a chance of ``trouble`` at each step.

    With ``cancel`` some of the jobs are canceled, whatever they do.
    """
    for _ in range(steps):
        if cluster.crashed:
            return
        if cluster.random.random() < trouble:
            some_trouble(cluster)
        cluster.submit(*some_job(cluster.random, cluster.acknowledged))
        if cancel:
            some_cancellation(cluster.random, cluster, cluster.process)
        cluster.pass_time(cluster.random.choice((0.0, 0.001, 0.05, 2.0)))


def calm(cluster: SimulatedCluster) -> None:
    """Heal everything, let all jobs end, and set right what failed jobs have left."""
    if cluster.crashed:
        cluster.kill_master()
    for host in cluster.hosts:
        host.disk.heal()
        cluster.network.behave(host.name)
    if not cluster.alive:
        cluster.start_master()
    cluster.settle()
    cluster.reconcile()


Trouble: TypeAlias = Callable[[SimulatedCluster, int | None], float]
"""Prepares what is going to go wrong, at the given write if there is one; answers with the chance
of trouble with a node at each step."""

STEPS = 20


def _plain(cluster: SimulatedCluster, write: int | None) -> float:
    return 0.0


def _nodes(cluster: SimulatedCluster, write: int | None) -> float:
    return 0.3


def _disk(cluster: SimulatedCluster, write: int | None) -> float:
    disk, random = cluster.hosts[0].disk, cluster.random
    for _ in range(3):
        at = write or random.randint(1, 120)
        disk.fail(disk.writes + at, random.choice((errno.ENOSPC, errno.EIO)))
    return 0.1


def _crash(cluster: SimulatedCluster, write: int | None) -> float:
    disk = cluster.hosts[0].disk
    disk.crash(at=disk.writes + (write or cluster.random.randint(1, 120)))
    return 0.1


MODES: Mapping[str, Trouble] = {"plain": _plain, "nodes": _nodes, "disk": _disk, "crash": _crash}


def play(trouble: Trouble, seed: int, *, write: int | None = None) -> list[str]:
    """What is wrong after a scenario; nothing should be."""
    cluster = SimulatedCluster(seed)
    oracle = Oracle(cluster)
    storm(cluster, STEPS, trouble=trouble(cluster, write), cancel=True)
    calm(cluster)
    cluster.pass_time(100.0)
    found = [*cluster.problems(), *leftovers(cluster)]
    before = Checkpoint().text(cluster.master.config.state())
    if Checkpoint().text(cluster.reopened()) != before:
        found.append("what was in memory differs from what is on disk")
    return [*oracle.violations, *found]


def writes_of(seed: int) -> int:
    """How often the master's host writes to its disk in the scenario of this seed."""
    cluster = SimulatedCluster(seed)
    before = cluster.hosts[0].disk.writes
    storm(cluster, STEPS, trouble=0.1, cancel=True)
    return cluster.hosts[0].disk.writes - before
