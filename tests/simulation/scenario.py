# SPDX-License-Identifier: BSD-2-Clause
"""What happens to a simulated cluster: random work and random trouble."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ganeti.config.formats import ConfigDataEncoder
from ganeti.errors import CommitFailed
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.schema.records import replace
from ganeti.testing.cluster import SimulatedCluster, Stuck
from ganeti.testing.disk import Crashed
from ganeti.testing.master_process import MasterProcess
from tests.simulation import guests
from tests.simulation.end_state import leftovers
from tests.simulation.oracle import Oracle

PAUSES = (0.0, 0.001, 0.05, 2.0)
"""How many seconds may pass between two steps."""

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


def some_job(
    random: Random, acknowledged: Sequence[int], work: Callable[[Random], Opcode] = some_work
) -> list[Opcode]:
    """Return a job that anybody might submit, which may depend on one that was acknowledged."""
    opcodes = [work(random) for _ in range(random.choice((1, 1, 2)))]
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


def storm(
    cluster: SimulatedCluster,
    steps: int,
    *,
    trouble: float,
    cancel: bool = False,
    strike: Callable[[SimulatedCluster], None] = some_trouble,
    work: Callable[[Random], Opcode] = some_work,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Submit work while something strikes with a chance of ``trouble`` at each step.

    With ``cancel`` some of the jobs are canceled, whatever they do.
    """
    for _ in range(steps):
        if cluster.crashed:
            return
        if not cluster.alive:
            try:
                cluster.start_master(cluster.process.host)
            except CommitFailed:
                # Its disk fails just now; it is started again at the next step.
                continue
            except (Stuck, Crashed):
                # Its disk crashed while it started.
                if cluster.crashed:
                    return
                raise
        if cluster.random.random() < trouble:
            strike(cluster)
        cluster.submit(*some_job(cluster.random, cluster.acknowledged, work))
        if cancel:
            some_cancellation(cluster.random, cluster, cluster.process)
        cluster.pass_time(cluster.random.choice(pauses))


def calm(cluster: SimulatedCluster) -> None:
    """Heal everything, let all jobs end, and set right what failed jobs have left."""
    if cluster.crashed:
        cluster.kill_master()
    for host in cluster.hosts:
        host.disk.heal()
        guests.behave(host)
        cluster.network.behave(host.name)
    if not cluster.alive:
        cluster.start_master()
    cluster.finish_jobs()
    cluster.reconcile()


@dataclass(frozen=True)
class Scenario:
    """A kind of trouble with a cluster of one master.

    ``prepare`` says what is going to go wrong with the master's disk, at the given write if there
    is one; ``chance`` is that of a node's trouble at each step, and ``strike`` brings it. ``work``
    is what is submitted, after ``begin`` has made what there is in the beginning; ``pauses`` are
    the seconds that may pass between two steps.
    """

    chance: float
    prepare: Callable[[SimulatedCluster, int | None], None] = lambda cluster, write: None
    strike: Callable[[SimulatedCluster], None] = some_trouble
    work: Callable[[Random], Opcode] = some_work
    pauses: Sequence[float] = PAUSES
    begin: Callable[[SimulatedCluster], None] = lambda cluster: None


STEPS = 20


def _disk(cluster: SimulatedCluster, write: int | None) -> None:
    disk, random = cluster.hosts[0].disk, cluster.random
    for _ in range(3):
        at = write or random.randint(1, 120)
        disk.fail(disk.writes + at, random.choice((errno.ENOSPC, errno.EIO)))


def _crash(cluster: SimulatedCluster, write: int | None) -> None:
    disk = cluster.hosts[0].disk
    disk.crash(at=disk.writes + (write or cluster.random.randint(1, 120)))


def _with_guests(
    prepare: Callable[[SimulatedCluster, int | None], None] = lambda cluster, write: None,
) -> Scenario:
    return Scenario(
        0.4,
        prepare,
        strike=guests.misbehave,
        work=guests.some_work,
        pauses=guests.PAUSES,
        begin=guests.with_instances,
    )


MODES: Mapping[str, Scenario] = {
    "plain": Scenario(0.0),
    "nodes": Scenario(0.3),
    "disk": Scenario(0.1, _disk),
    "crash": Scenario(0.1, _crash),
    "guests": _with_guests(),
    "guests-disk": _with_guests(_disk),
    "guests-crash": _with_guests(_crash),
}


def play(scenario: Scenario, seed: int, *, write: int | None = None) -> list[str]:
    """What is wrong after a scenario; nothing should be."""
    cluster = SimulatedCluster(seed)
    oracle = Oracle(cluster)
    scenario.begin(cluster)
    scenario.prepare(cluster, write)
    storm(
        cluster,
        STEPS,
        trouble=scenario.chance,
        cancel=True,
        strike=scenario.strike,
        work=scenario.work,
        pauses=scenario.pauses,
    )
    calm(cluster)
    cluster.pass_time(100.0)
    found = [*cluster.problems(), *leftovers(cluster)]
    before = ConfigDataEncoder().text(cluster.master.config.state())
    if ConfigDataEncoder().text(cluster.reopened()) != before:
        found.append("what was in memory differs from what is on disk")
    return [*oracle.violations, *found]


def writes_of(seed: int) -> int:
    """How often the master's host writes to its disk in the scenario of this seed."""
    cluster = SimulatedCluster(seed)
    before = cluster.hosts[0].disk.writes
    storm(cluster, STEPS, trouble=0.1, cancel=True)
    return cluster.hosts[0].disk.writes - before
