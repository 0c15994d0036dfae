# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-cluster`` commands that do more than submit one opcode."""

from __future__ import annotations

from ganeti.bootstrap.store_access import describe_store
from ganeti.cli.command import Arguments, Document, OpcodeResult
from ganeti.cli.gnt_cluster.info import told
from ganeti.cli.ipolicy_options import format_options
from ganeti.cli.job_polling import submit_and_follow_all, submitted_results
from ganeti.cli.options import duration
from ganeti.cli.output import Fields, timestamp
from ganeti.cli.program import read_master_name
from ganeti.cli.session import FAILURE, NOT_IN_CLUSTER, ExitTool, Session
from ganeti.cli.value_output import show_values
from ganeti.luxi.methods import QueryClusterInfo, QueryConfigValues, SetDrainFlag, SetWatcherPause
from ganeti.opcodes.instance.disks import ActivateDisks


def info(session: Session, arguments: Arguments) -> int:
    """Show the settings of the cluster."""
    facts = _query_cluster(session)
    shown = {**told(facts), "State store": describe_store(session.paths)}
    return show_values(session, arguments, facts, shown)


def _query_cluster(session: Session) -> Fields:
    return session.ask(QueryClusterInfo())


def version(session: Session, arguments: Arguments) -> int:
    """Show the versions of the software and its formats."""
    facts = _query_cluster(session)
    told = {
        "Software version": facts["software_version"],
        "Internode protocol": facts["protocol_version"],
        "Configuration format": facts["config_version"],
        "OS api version": facts["os_api_version"],
        "Export interface": facts["export_version"],
        "VCS version": facts["vcs_version"],
    }
    return show_values(session, arguments, told, told)


def show_specs(session: Session, arguments: Arguments) -> int:
    """Show the command that sets the instance specs of the cluster's policy."""
    facts = _query_cluster(session)
    words = ["gnt-cluster init", *format_options(facts["ipolicy"], standard=True), facts["name"]]
    session.print_line(" ".join(words))
    return 0


def getmaster(session: Session, arguments: Arguments) -> int:
    """Show the name of the master as this node knows it."""
    name = read_master_name(session.paths)
    if not name:
        raise ExitTool(
            NOT_IN_CLUSTER,
            "this node is not part of a cluster, or has not received the name of the master yet",
        )
    session.print_line(name)
    return 0


def ping(session: Session, arguments: Arguments) -> int:
    """Succeed if the master daemon answers."""
    _query_cluster(session)
    return 0


# --- changes


# --- verification


def checks(arguments: Arguments) -> Document:
    """Return the checks to skip."""
    return {"skip_checks": ["nplusone_mem"] if arguments.get("no_n_plus_one") else []}


def follow_disk_verification(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Follow the jobs that verify disks, activate inactive disks and report missing ones."""
    worst = 0
    for outcomes in submitted_results(session, result):
        if outcomes is None:
            worst = FAILURE
            continue
        for silent, inactive, missing in outcomes:
            for node, problem in silent.items():
                session.print_status(f"Error: node {node} could not be queried: {problem}")
            for name, volumes in missing.items():
                session.print_status(f"Error: instance {name} has lost disks:")
                for volume in volumes:
                    session.print_status(f"  {' '.join(map(str, volume))}")
            if inactive:
                jobs = [(name, [ActivateDisks(instance_name=name)]) for name in sorted(inactive)]
                worst = submit_and_follow_all(session, arguments, jobs, goes_on=True) or worst
            worst = FAILURE if silent or missing else worst
    return worst


def show_rows(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Show what a job has changed, one line for each change."""
    for row in result or ():
        session.print_line(" ".join(map(str, row)))
    return 0


# --- the queue and the watcher


def queue(session: Session, arguments: Arguments) -> int:
    """Drain the job queue, undrain it, or show whether it is drained."""
    if arguments["what"] != "info":
        session.ask(SetDrainFlag(flag=arguments["what"] == "drain"))
        return 0
    (drained,) = session.ask(QueryConfigValues(fields=("drain_flag",)))
    if arguments.get("output"):
        return show_values(session, arguments, {"drained": drained}, {})
    session.print_line(f"The drain flag is {'set' if drained else 'unset'}")
    return 0


def watcher(session: Session, arguments: Arguments) -> int:
    """Pause the watcher, let it continue, or show whether it is paused."""
    what, length = arguments["what"], arguments.get("duration")
    if (what == "pause") != (length is not None):
        raise ExitTool(
            FAILURE, "watcher pause needs a duration such as 30m or 4h; continue and info take none"
        )
    if what == "info":
        (until,) = session.ask(QueryConfigValues(fields=("watcher_pause",)))
        if arguments.get("output"):
            return show_values(session, arguments, {"paused_until": until}, {})
    elif length is not None:
        try:
            seconds = duration(length)
        except ValueError as e:
            raise ExitTool(FAILURE, str(e)) from None
        until = session.ask(SetWatcherPause(until=session.clock() + seconds))
    else:
        session.ask(SetWatcherPause(until=None))
        until = None
    if until is None:
        session.print_line("The watcher is not paused.")
    else:
        session.print_line(f"The watcher is paused until {timestamp(until)}.")
    return 0


# --- initialization and destruction
