# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster epo``: emergency power off, and on again.

Everything is done by ordinary jobs: instances are stopped without forgetting that they should run,
nodes are marked offline, and their out-of-band helpers switch the power.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ganeti.cli.command import Arguments
from ganeti.cli.session import FAILURE, ExitTool, Session

if TYPE_CHECKING:
    from ganeti.opcodes.opcode import Opcode

PAUSE = 86400.0
"""Seconds for which the watcher starts nothing again."""
BOOT_TIMEOUT = 600.0
"""Seconds until the node daemon of a node that was switched on has to answer."""
INTERVAL = 1.0

_FIELDS = (
    *("name", "pip", "offline", "master", "group", "group.uuid"),
    "master_capable",
)
Node = dict[str, Any]


def epo(session: Session, arguments: Arguments) -> int:
    """Switch nodes off with all that runs on them, or on again."""
    chosen, master = _chosen(session, arguments)
    if arguments.get("on"):
        return _on(session, arguments, chosen, master)
    return _off(session, arguments, chosen, master)


def _chosen(session: Session, arguments: Arguments) -> tuple[list[Node], list[Node]]:
    """The nodes to switch, and the master if it is one of them; it is never switched.

    :raises ExitTool: it is not said which, or the master is one of some.
    """
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    names, everything = arguments.get("names", []), arguments.get("all")
    if bool(names) == bool(everything):
        raise ExitTool(FAILURE, "name nodes, or groups with --groups, or say --all for all nodes")
    nodes = objects(session.ask(Query(what="node", fields=_FIELDS)))
    keys = ("group", "group.uuid") if arguments.get("groups") else ("name",)
    known = {node[key] for node in nodes for key in keys}
    if unknown := [name for name in names if name not in known]:
        what = "node group" if arguments.get("groups") else "node"
        kind = "group" if arguments.get("groups") else "node"
        raise ExitTool(FAILURE, f"there is no {what} {', '.join(unknown)}; see gnt-{kind} list")
    found = [node for node in nodes if everything or any(node[key] in names for key in keys)]
    master = [node for node in found if node["master"]]
    if master and not everything:
        raise ExitTool(
            FAILURE,
            f"{master[0]['name']} is the master, which switches the others; make another node the"
            " master first (gnt-cluster master-failover), or say --all",
        )
    return [node for node in found if not node["master"]], master


def _off(
    session: Session, arguments: Arguments, chosen: Sequence[Node], master: Sequence[Node]
) -> int:
    from ganeti.cli.job_polling import carry_out_all
    from ganeti.luxi.methods import SetWatcherPause
    from ganeti.opcodes.instance.lifecycle import ShutdownInstance

    stopped = {node["name"] for node in (*chosen, *master)}
    # Of nodes that do not answer it is not known what runs; stopping it fails, which is told.
    instances = [
        each["name"]
        for each in _instances(session)
        if each["pnode"] in stopped and each["oper_state"] is not False
    ]
    if not arguments.get("force"):
        for node in chosen:
            session.say(f"  {node['name']}")
        session.confirm(
            f"Stop {len(instances)} instances and switch these {len(chosen)} nodes off?",
            "-f/--force",
        )
    session.ask(SetWatcherPause(until=session.clock() + PAUSE))
    session.say("The watcher is paused for a day; gnt-cluster epo --on lets it act again.")
    timeout = arguments.get("shutdown_timeout", 120)
    jobs = [
        (name, [ShutdownInstance(instance_name=name, timeout=timeout, no_remember=True)])
        for name in instances
    ]
    if jobs and carry_out_all(session, arguments, jobs, goes_on=True):
        session.tell("Not all instances are stopped, and no node was switched off;")
        session.tell("stop them by hand, then run this again.")
        return FAILURE
    code = _switched_off(session, arguments, chosen)
    if master:
        session.say(f"{master[0]['name']} is the master and stays on; shut it down by hand.")
    return code


def _switched_off(session: Session, arguments: Arguments, chosen: Sequence[Node]) -> int:
    from ganeti.cli.gnt_node.actions import show_power
    from ganeti.cli.job_polling import results_of
    from ganeti.opcodes.node import CommandPower, ModifyNode, PowerCommand

    if not chosen:
        return 0
    names = tuple(node["name"] for node in chosen)
    results = results_of(
        session,
        arguments,
        # By force: where all go, none is left to be a candidate instead.
        *(ModifyNode(node_name=name, offline=True, force=True) for name in names),
        CommandPower(
            node_names=names,
            command=PowerCommand.POWER_OFF,
            timeout=arguments.get("oob_timeout", 60),
        ),
    )
    return show_power(session, arguments, results and results[-1:], switches=True)


def _on(
    session: Session, arguments: Arguments, chosen: Sequence[Node], master: Sequence[Node]
) -> int:
    from ganeti.cli.gnt_node.actions import show_power
    from ganeti.cli.job_polling import results_of
    from ganeti.luxi.methods import SetWatcherPause
    from ganeti.opcodes.node import CommandPower, PowerCommand
    from ganeti.paths import NODED_PORT

    worst = 0
    if chosen:
        switch = CommandPower(
            node_names=tuple(node["name"] for node in chosen),
            command=PowerCommand.POWER_ON,
            timeout=arguments.get("oob_timeout", 60),
            power_delay=arguments.get("power_delay", 2.0),
        )
        worst = show_power(session, arguments, results_of(session, arguments, switch))
    up = _answering(session, chosen, arguments.get("node_port", NODED_PORT))
    for node in chosen:
        if node["name"] not in up:
            session.tell(f"Warning: the node daemon of {node['name']} does not answer yet")
            worst = FAILURE
    back = [node for node in chosen if node["offline"] and node["name"] in up]
    if back:
        results_of(session, arguments, *_taken_back(session, back))
    up |= {node["name"] for node in master}
    worst = _start(session, arguments, up) or worst
    session.ask(SetWatcherPause(until=None))
    return worst


def _taken_back(session: Session, nodes: Sequence[Node]) -> Iterator[Opcode]:
    """The requests that let nodes be used again, as candidates while the cluster needs some."""
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query, QueryClusterInfo
    from ganeti.opcodes.node import ModifyNode

    candidates = objects(session.ask(Query(what="node", fields=("master_candidate",))))
    room = session.ask(QueryClusterInfo())["candidate_pool_size"]
    room -= sum(bool(node["master_candidate"]) for node in candidates)
    for node in nodes:
        if room > 0 and node["master_capable"]:
            room -= 1
            yield ModifyNode(node_name=node["name"], master_candidate=True)
        else:
            yield ModifyNode(node_name=node["name"], offline=False)


def _instances(session: Session) -> list[dict[str, Any]]:
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    fields = ("name", "pnode", "admin_state", "oper_state")
    return objects(session.ask(Query(what="instance", fields=fields)))


def _answering(session: Session, chosen: Sequence[Node], port: int) -> set[str]:
    """The names of the nodes whose daemons answer, all of them if that takes not too long."""
    from ganeti.cli.gnt_node.actions import answers

    until, up = session.clock() + BOOT_TIMEOUT, set[str]()
    while True:
        up |= {
            node["name"] for node in chosen if node["name"] not in up and answers(node["pip"], port)
        }
        if len(up) == len(chosen) or session.clock() >= until:
            return up
        session.sleep(INTERVAL)


def _start(session: Session, arguments: Arguments, up: set[str]) -> int:
    """Start the instances of these nodes that should run and do not."""
    from ganeti.cli.job_polling import carry_out_all
    from ganeti.opcodes.instance.lifecycle import StartInstance

    wanted = [
        each["name"]
        for each in _instances(session)
        if each["pnode"] in up and each["admin_state"] == "up" and not each["oper_state"]
    ]
    jobs = [(name, [StartInstance(instance_name=name, no_remember=True)]) for name in wanted]
    return carry_out_all(session, arguments, jobs, goes_on=True) if jobs else 0
