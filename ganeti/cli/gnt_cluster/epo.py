# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster epo``: emergency power off, and power on again.

All steps are ordinary jobs: instances are shut down without changing their configured state, nodes
are marked offline, and the out-of-band helpers switch the power.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ganeti.cli.addresses import answers
from ganeti.cli.command import Arguments
from ganeti.cli.gnt_node.power import show_power
from ganeti.cli.job_polling import results_of, submit_and_follow_all
from ganeti.cli.output import Fields, objects
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.luxi.methods import Query, QueryClusterInfo, SetWatcherPause
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.node import CommandPower, ModifyNode, PowerCommand
from ganeti.paths import NODED_PORT

if TYPE_CHECKING:
    from ganeti.opcodes.opcode import Opcode

PAUSE = 86400.0
"""For how long the watcher is paused, in seconds."""
BOOT_TIMEOUT = 600.0
"""How long to wait for the node daemon of a node that was powered on, in seconds."""
INTERVAL = 1.0

_FIELDS = (
    *("name", "pip", "offline", "master", "group", "group.uuid"),
    "master_capable",
)


def epo(session: Session, arguments: Arguments) -> int:
    """Power nodes off with all their instances, or power them on again."""
    chosen, master = _select_nodes(session, arguments)
    if arguments.get("on"):
        return _switch_on_and_start(session, arguments, chosen, master)
    return _stop_and_switch_off(session, arguments, chosen, master)


def _select_nodes(session: Session, arguments: Arguments) -> tuple[list[Fields], list[Fields]]:
    """Return the nodes to switch, and the master if it is among them; the master is never switched.

    :raises ExitTool: if no nodes are named, or the master is named without ``--all``.
    """
    names, everything = arguments.get("names", []), arguments.get("all")
    if bool(names) == bool(everything):
        raise ExitTool(FAILURE, "name nodes, groups with --groups, or all nodes with --all")
    nodes = objects(session.ask(Query(what="node", fields=_FIELDS)))
    keys = ("group", "group.uuid") if arguments.get("groups") else ("name",)
    known = {node[key] for node in nodes for key in keys}
    if unknown := [name for name in names if name not in known]:
        what = "node group" if arguments.get("groups") else "node"
        kind = "group" if arguments.get("groups") else "node"
        raise ExitTool(FAILURE, f"unknown {what} {', '.join(unknown)}; see gnt-{kind} list")
    found = [node for node in nodes if everything or any(node[key] in names for key in keys)]
    master = [node for node in found if node["master"]]
    if master and not everything:
        raise ExitTool(
            FAILURE,
            f"{master[0]['name']} is the master and cannot power itself off; make another node the"
            " master first (gnt-cluster master-failover), or use --all",
        )
    return [node for node in found if not node["master"]], master


def _stop_and_switch_off(
    session: Session, arguments: Arguments, chosen: Sequence[Fields], master: Sequence[Fields]
) -> int:
    stopped = {node["name"] for node in (*chosen, *master)}
    # A node that does not answer gives no state of its instances: try to stop them, too, and show
    # the failure.
    instances = [
        each["name"]
        for each in _query_instances(session)
        if each["pnode"] in stopped and each["oper_state"] is not False
    ]
    if not arguments.get("force"):
        for node in chosen:
            session.print_line(f"  {node['name']}")
        session.confirm(
            f"Stop {len(instances)} instances and power off these {len(chosen)} nodes?",
            "-f/--force",
        )
    # Before the stops, so that the watcher does not start the instances again.
    session.ask(SetWatcherPause(until=session.clock() + PAUSE))
    session.print_line("The watcher is paused for a day; gnt-cluster epo --on resumes it.")
    timeout = arguments.get("shutdown_timeout", 120)
    jobs = [
        (name, [ShutdownInstance(instance_name=name, timeout=timeout, no_remember=True)])
        for name in instances
    ]
    if jobs and submit_and_follow_all(session, arguments, jobs, goes_on=True):
        session.print_status("Not all instances could be stopped, and no node was powered off;")
        session.print_status("stop them manually, then run this command again.")
        return FAILURE
    code = _switch_off(session, arguments, chosen)
    if master:
        session.print_line(
            f"{master[0]['name']} is the master and stays on; shut it down manually."
        )
    return code


def _switch_off(session: Session, arguments: Arguments, chosen: Sequence[Fields]) -> int:
    if not chosen:
        return 0
    names = tuple(node["name"] for node in chosen)
    results = results_of(
        session,
        arguments,
        # With force: if all nodes go offline, no node is left to become a master candidate instead.
        *(ModifyNode(node_name=name, offline=True, force=True) for name in names),
        CommandPower(
            node_names=names,
            command=PowerCommand.POWER_OFF,
            timeout=arguments.get("oob_timeout", 60),
        ),
    )
    return show_power(session, arguments, results and results[-1:], switches=True)


def _switch_on_and_start(
    session: Session, arguments: Arguments, chosen: Sequence[Fields], master: Sequence[Fields]
) -> int:
    worst = 0
    if chosen:
        switch = CommandPower(
            node_names=tuple(node["name"] for node in chosen),
            command=PowerCommand.POWER_ON,
            timeout=arguments.get("oob_timeout", 60),
            power_delay=arguments.get("power_delay", 2.0),
        )
        worst = show_power(session, arguments, results_of(session, arguments, switch))
    up = _wait_for_node_daemons(session, chosen, arguments.get("node_port", NODED_PORT))
    for node in chosen:
        if node["name"] not in up:
            session.print_status(f"Warning: the node daemon of {node['name']} does not answer yet")
            worst = FAILURE
    back = [node for node in chosen if node["offline"] and node["name"] in up]
    if back:
        results_of(session, arguments, *_build_online_opcodes(session, back))
    up |= {node["name"] for node in master}
    worst = _start_instances(session, arguments, up) or worst
    # Last, as the watcher would start the same instances.
    session.ask(SetWatcherPause(until=None))
    return worst


def _build_online_opcodes(session: Session, nodes: Sequence[Fields]) -> Iterator[Opcode]:
    """Yield the opcodes that mark nodes online, as master candidates while the pool is not full."""
    candidates = objects(session.ask(Query(what="node", fields=("master_candidate",))))
    room = session.ask(QueryClusterInfo())["candidate_pool_size"]
    room -= sum(bool(node["master_candidate"]) for node in candidates)
    for node in nodes:
        if room > 0 and node["master_capable"]:
            room -= 1
            yield ModifyNode(node_name=node["name"], master_candidate=True)
        else:
            yield ModifyNode(node_name=node["name"], offline=False)


def _query_instances(session: Session) -> list[Fields]:
    fields = ("name", "pnode", "admin_state", "oper_state")
    return objects(session.ask(Query(what="instance", fields=fields)))


def _wait_for_node_daemons(session: Session, chosen: Sequence[Fields], port: int) -> set[str]:
    """Return the names of the nodes whose daemons answer, waiting up to the boot timeout."""
    until, up = session.clock() + BOOT_TIMEOUT, set[str]()
    while True:
        up |= {
            node["name"] for node in chosen if node["name"] not in up and answers(node["pip"], port)
        }
        if len(up) == len(chosen) or session.clock() >= until:
            return up
        session.sleep(INTERVAL)


def _start_instances(session: Session, arguments: Arguments, up: set[str]) -> int:
    """Start the instances of these nodes that are configured to run and do not run."""
    wanted = [
        each["name"]
        for each in _query_instances(session)
        if each["pnode"] in up and each["admin_state"] == "up" and not each["oper_state"]
    ]
    jobs = [(name, [StartInstance(instance_name=name, no_remember=True)]) for name in wanted]
    return submit_and_follow_all(session, arguments, jobs, goes_on=True) if jobs else 0
