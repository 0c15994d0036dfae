# SPDX-License-Identifier: BSD-2-Clause
"""Initialize and destroy a cluster, and make this node its master."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ganeti.bootstrap.failover import FailoverOptions, become_master, list_failover_problems
from ganeti.bootstrap.init_cluster import check_membership, init_cluster, setting_problems
from ganeti.bootstrap.leave_cluster import leave_cluster
from ganeti.bootstrap.local_host import LocalHost
from ganeti.bootstrap.own_members import create_own_store
from ganeti.bootstrap.preflight import find_problems, format_problems
from ganeti.cli.command import Arguments
from ganeti.cli.gnt_cluster.init_options import (
    choices,
    fails_over,
    require_etcd,
    wants_own_members,
)
from ganeti.cli.job_polling import results_of
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import Refused
from ganeti.luxi.methods import ConfirmNodesDown
from ganeti.opcodes.cluster import DestroyCluster
from ganeti.paths import NODED_PORT


def failover(session: Session, arguments: Arguments) -> int:
    """Make this node the master."""
    options = FailoverOptions(
        voting=not arguments.get("no_voting"), accept_loss=bool(arguments.get("accept_loss"))
    )
    port = arguments.get("node_port", NODED_PORT)
    overridden = options != FailoverOptions()
    if overridden and not arguments.get("yes_do_it"):
        for problem in list_failover_problems(session.paths, session.host(), port=port):
            session.print_line(problem)
        session.confirm(
            "Changes that another master has acknowledged may be lost, and instances may run"
            " twice if a master daemon runs on another node. Make this node the master anyway?",
            "--yes-do-it",
        )
    become_master(session.paths, session.host(), options, say=session.print_line, port=port)
    return 0


def confirm_down(session: Session, arguments: Arguments) -> int:
    """Let the master continue without the votes of nodes that are down."""
    names = tuple(arguments["names"])
    if not arguments.get("yes_do_it"):
        session.confirm(
            f"The master will continue without the votes of {', '.join(names)}. If a master daemon"
            " runs on one of them, the changes it acknowledges are lost, and instances may run"
            " twice. Are these nodes certainly down?",
            "--yes-do-it",
        )
    session.ask(ConfirmNodesDown(names=names))
    session.print_line(f"The master continues without the votes of {', '.join(names)}.")
    return 0


def init(session: Session, arguments: Arguments) -> int:
    """Make this node the first node of a new cluster."""
    host = session.host()
    virtual = bool(session.paths.root)
    check_membership(session.paths)
    if wants_own_members(arguments):
        require_etcd(session.environment.get("PATH"))
    problems: list[str] = []
    chosen = {"master": host, **choices(arguments, host, problems, virtual=virtual)}
    problems += setting_problems(session.paths, chosen)
    if not virtual:
        problems += find_problems(chosen, LocalHost())
    if problems:
        raise Refused(format_problems(problems))
    if wants_own_members(arguments):
        chosen["store"] = create_own_store(
            session.paths,
            arguments["cluster"],
            host,
            chosen["master_address"],
            automatic_failover=fails_over(arguments),
        )
    init_cluster(session.paths, **chosen)
    session.print_line(
        f"Cluster {arguments['cluster']} is initialized; {host} is its first node and master."
    )
    session.print_line("Start its daemons next:")
    systemd = not virtual and os.path.isdir("/run/systemd/system")
    for command in start_commands(session.paths.root, host, systemd=systemd):
        session.print_line(f"  {command}")
    session.print_line("then run gnt-cluster verify, and gnt-node add to add nodes.")
    return 0


def start_commands(root: str, host: str, *, systemd: bool) -> Sequence[str]:
    """Return the commands that start the daemons of the first node."""
    if systemd:
        # Not start: the unit is active since the boot of the host, and its daemons were skipped.
        return ("systemctl restart ganeti",)
    prefix = f"GANETI_ROOTDIR={root} GANETI_HOSTNAME={host} " if root else ""
    return tuple(
        f"{prefix}{daemon}" for daemon in ("ganeti-noded", "ganeti-masterd", "ganeti-rapi")
    )


def destroy(session: Session, arguments: Arguments) -> int:
    """Destroy the cluster and remove all its files from the last node."""
    if not arguments.get("yes_do_it") and not arguments.get("dry_run"):
        raise ExitTool(
            FAILURE,
            "this destroys the cluster permanently: its configuration, keys and history are"
            " removed; add --yes-do-it to confirm",
        )
    # The files of this host are removed only after the end of the job.
    results = results_of(session, arguments.plus({"submit": False}), DestroyCluster())
    if results is None or arguments.get("dry_run"):
        return 0
    for line in leave_cluster(session.paths):
        session.print_line(line)
    session.print_line("The cluster is destroyed; this host can join or initialize another one.")
    return 0
