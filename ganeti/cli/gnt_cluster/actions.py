# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-cluster`` commands that do more than submit one opcode."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set
from typing import Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.gnt_cluster import audit
from ganeti.cli.listing import show_values
from ganeti.cli.session import FAILURE, NOT_IN_CLUSTER, ExitTool, Session

RENEWABLE = (
    *(
        "new_cluster_certificate",
        "new_node_certificates",
        "new_rapi_certificate",
        "rapi_certificate",
    ),
    *("new_domain_secret", "domain_secret"),
)


def info(session: Session, arguments: Arguments) -> int:
    """Show the settings of the cluster."""
    from ganeti.cli.gnt_cluster.info import told

    facts = _query_cluster(session)
    return show_values(session, arguments, facts, told(facts))


def _query_cluster(session: Session) -> dict[str, Any]:
    from ganeti.luxi.methods import QueryClusterInfo

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
    from ganeti.cli.ipolicy_options import format_options

    facts = _query_cluster(session)
    words = ["gnt-cluster init", *format_options(facts["ipolicy"], standard=True), facts["name"]]
    session.say(" ".join(words))
    return 0


def getmaster(session: Session, arguments: Arguments) -> int:
    """Show the name of the master as this node knows it."""
    from ganeti.cli.program import read_master_name

    name = read_master_name(session.paths)
    if not name:
        raise ExitTool(
            NOT_IN_CLUSTER,
            "this node is not part of a cluster, or has not received the name of the master yet",
        )
    session.say(name)
    return 0


def failover(session: Session, arguments: Arguments) -> int:
    """Make this node the master."""
    from ganeti.bootstrap.failover import FailoverOptions, become_master, list_failover_problems
    from ganeti.paths import NODED_PORT

    options = FailoverOptions(
        voting=not arguments.get("no_voting"), accept_loss=bool(arguments.get("accept_loss"))
    )
    port = arguments.get("node_port", NODED_PORT)
    overridden = options != FailoverOptions()
    if overridden and not arguments.get("yes_do_it"):
        for problem in list_failover_problems(session.paths, session.host(), port=port):
            session.say(problem)
        session.confirm(
            "Changes that another master has acknowledged may be lost, and instances may run"
            " twice if a master daemon runs on another node. Make this node the master anyway?",
            "--yes-do-it",
        )
    become_master(session.paths, session.host(), options, say=session.say, port=port)
    return 0


def upgrade(session: Session, arguments: Arguments) -> int:
    """Explain how to upgrade the software.

    :raises ExitTool: always, so that scripts do not take this for a completed upgrade.
    """
    raise ExitTool(
        FAILURE,
        "gnt-cluster does not install software: upgrade the packages on all nodes, then restart"
        " ganeti-noded on each node and ganeti-masterd on the master, which converts the"
        " configuration when it starts; instances keep running",
    )


def confirm_down(session: Session, arguments: Arguments) -> int:
    """Let the master continue without the votes of nodes that are down."""
    from ganeti.luxi.methods import ConfirmNodesDown

    names = tuple(arguments["names"])
    if not arguments.get("yes_do_it"):
        session.confirm(
            f"The master will continue without the votes of {', '.join(names)}. If a master daemon"
            " runs on one of them, the changes it acknowledges are lost, and instances may run"
            " twice. Are these nodes certainly down?",
            "--yes-do-it",
        )
    session.ask(ConfirmNodesDown(names=names))
    session.say(f"The master continues without the votes of {', '.join(names)}.")
    return 0


def renew(session: Session, arguments: Arguments) -> int:
    """Create new keys, certificates and secrets, and distribute them."""
    from ganeti.bootstrap import secret_renewal
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto

    wanted = {name for name in RENEWABLE if name in arguments}
    if not wanted:
        raise ExitTool(
            FAILURE,
            "nothing to renew; give at least one option (see gnt-cluster renew-crypto --help)",
        )
    if arguments.get("dry_run"):
        return _show_renewal(session, wanted)
    paths = session.paths
    if "new_rapi_certificate" in wanted:
        secret_renewal.renew_rapi_certificate(paths)
        session.say("Created a new certificate for the remote API.")
    if "rapi_certificate" in wanted:
        secret_renewal.use_rapi_certificate(paths, arguments["rapi_certificate"])
        session.say("Installed the given certificate for the remote API.")
    if wanted & {"new_domain_secret", "domain_secret"}:
        secret_renewal.renew_domain_secret(paths, arguments.get("domain_secret"))
        session.say("Replaced the secret for moves between clusters.")
    jobs = {"new_cluster_certificate", "new_node_certificates"}
    if wanted - jobs and (code := carry_out(session, arguments, RedistributeConfig())):
        return code
    if "new_cluster_certificate" in wanted:
        # This also renews the certificates of all nodes.
        return carry_out(session, arguments, RenewCrypto(cluster_certificate=True))
    if "new_node_certificates" in wanted:
        return carry_out(session, arguments, RenewCrypto(node_certificates=True))
    return 0


def _show_renewal(session: Session, wanted: Set[str]) -> int:
    session.say("These files would be renewed on the nodes that have them:")
    for name in RENEWABLE:
        if name in wanted:
            session.say(f"- {name.removeprefix('new_').replace('_', ' ')}")
    return 0


def ping(session: Session, arguments: Arguments) -> int:
    """Succeed if the master daemon answers."""
    _query_cluster(session)
    return 0


# --- changes


def settings(arguments: Arguments) -> Document:
    """Return the fields of a settings request that are composed of several options."""
    from ganeti.cli.ipolicy_options import policy

    init_cluster: Document = {}
    for name in ("hv_state", "disk_state"):
        if name in arguments:
            init_cluster[name] = by_name(arguments[name])
    limits = policy(arguments)
    if limits:
        init_cluster["ipolicy"] = limits
    return init_cluster


def by_name(given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return values by name; ``kind/name`` gives values by kind and name."""
    init_cluster: dict[str, Any] = {}
    for ident, values in given:
        kind, slash, name = ident.partition("/")
        if slash:
            init_cluster.setdefault(kind, {})[name] = values
        else:
            init_cluster[ident] = values
    return init_cluster


def cluster_settings(arguments: Arguments) -> Document:
    """As :func:`settings`, with the fields that only the cluster has."""
    init_cluster = settings(arguments)
    collectors = arguments.get("enabled_data_collectors")
    if collectors:
        init_cluster["enabled_data_collectors"] = {
            name: value in (True, "1", "yes", "true", "True") for name, value in collectors.items()
        }
    intervals = arguments.get("data_collector_interval")
    if intervals:
        try:
            init_cluster["data_collector_interval"] = {
                name: int(value) for name, value in intervals.items()
            }
        except (TypeError, ValueError):
            raise ExitTool(
                FAILURE, "--data-collector-interval: values must be whole numbers"
            ) from None
    return init_cluster


# --- verification


def verified(session: Session, arguments: Arguments, result: Any) -> int:
    """Follow the jobs that verify the cluster; return 1 if any of them found an error."""
    from ganeti.cli.job_polling import follow_submitted_jobs

    return follow_submitted_jobs(session, arguments, result)


def checks(arguments: Arguments) -> Document:
    """Return the checks to skip."""
    return {"skip_checks": ["nplusone_mem"] if arguments.get("no_n_plus_one") else []}


def follow_disk_verification(session: Session, arguments: Arguments, result: Any) -> int:
    """Follow the jobs that verify disks, activate inactive disks and report missing ones."""
    from ganeti.cli.job_polling import follow, submit_and_follow_all
    from ganeti.opcodes.instance.disks import ActivateDisks

    worst = 0
    for _, job in result["jobs"]:
        for silent, inactive, missing in follow(session, job):
            for node, problem in silent.items():
                session.tell(f"Error: node {node} could not be queried: {problem}")
            for name, volumes in missing.items():
                session.tell(f"Error: instance {name} has lost disks:")
                for volume in volumes:
                    session.tell(f"  {' '.join(map(str, volume))}")
            if inactive:
                jobs = [(name, [ActivateDisks(instance_name=name)]) for name in sorted(inactive)]
                worst = submit_and_follow_all(session, arguments, jobs, goes_on=True) or worst
            worst = FAILURE if silent or missing else worst
    return worst


def show_rows(session: Session, arguments: Arguments, result: Any) -> int:
    """Show what a job has changed, one line for each change."""
    for row in result or ():
        session.say(" ".join(map(str, row)))
    return 0


# --- the queue and the watcher


def queue(session: Session, arguments: Arguments) -> int:
    """Drain the job queue, undrain it, or show whether it is drained."""
    from ganeti.luxi.methods import QueryConfigValues, SetDrainFlag

    if arguments["what"] != "info":
        session.ask(SetDrainFlag(flag=arguments["what"] == "drain"))
        return 0
    (drained,) = session.ask(QueryConfigValues(fields=("drain_flag",)))
    if arguments.get("output"):
        return show_values(session, arguments, {"drained": drained}, {})
    session.say(f"The drain flag is {'set' if drained else 'unset'}")
    return 0


def watcher(session: Session, arguments: Arguments) -> int:
    """Pause the watcher, let it continue, or show whether it is paused."""
    from ganeti.cli.options import duration
    from ganeti.cli.output import timestamp
    from ganeti.luxi.methods import QueryConfigValues, SetWatcherPause

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
        session.say("The watcher is not paused.")
    else:
        session.say(f"The watcher is paused until {timestamp(until)}.")
    return 0


# --- initialization and destruction


def init(session: Session, arguments: Arguments) -> int:
    """Make this node the first node of a new cluster."""
    from ganeti.bootstrap.init_cluster import init_cluster
    from ganeti.cli.gnt_cluster.init_options import choices

    host = session.host()
    init_cluster(
        session.paths, master=host, **choices(arguments, host, virtual=bool(session.paths.root))
    )
    below = f"GANETI_ROOTDIR={session.paths.root} GANETI_HOSTNAME={host} "
    prefix = below if session.paths.root else ""
    session.say(
        f"Cluster {arguments['cluster']} is initialized; {host} is its first node and master."
    )
    session.say("Start its daemons next:")
    for daemon in ("ganeti-noded", "ganeti-masterd", "ganeti-rapi"):
        session.say(f"  {prefix}{daemon}")
    session.say("then run gnt-cluster verify, and gnt-node add to add nodes.")
    return 0


def destroy(session: Session, arguments: Arguments) -> int:
    """Destroy the cluster and remove all its files from the last node."""
    from ganeti.bootstrap.leave_cluster import leave_cluster
    from ganeti.cli.job_polling import results_of
    from ganeti.opcodes.cluster import DestroyCluster

    if not arguments.get("yes_do_it") and not arguments.get("dry_run"):
        raise ExitTool(
            FAILURE,
            "this destroys the cluster permanently: its configuration, keys and history are"
            " removed; add --yes-do-it to confirm",
        )
    results = results_of(session, arguments.plus({"submit": False}), DestroyCluster())
    if results is None or arguments.get("dry_run"):
        return 0
    for line in leave_cluster(session.paths):
        session.say(line)
    session.say("The cluster is destroyed; this host can join or initialize another one.")
    return 0


def history(session: Session, arguments: Arguments) -> int:
    """Show who changed what, when and why."""
    from ganeti.bootstrap.history import checked
    from ganeti.bootstrap.history import history as commits
    from ganeti.cli.output import timestamp

    if audit.is_wanted(arguments):
        return audit.show(session, arguments)
    if arguments.get("check"):
        chain = checked(session.paths)
        told = f"{chain['commits']} commits, {chain['first']} to {chain['last']}"
        return show_values(
            session,
            arguments,
            chain,
            {"Journal": f"{told}; each has the digest of its predecessor"},
        )
    kept = commits(session.paths, everything=bool(arguments.get("all")))
    rows = deque(kept, maxlen=max(0, arguments["last"]) if "last" in arguments else None)
    if arguments.get("output"):
        return show_values(session, arguments, list(rows), [])
    for row in rows:
        job = f"job {row['job']}" if row["job"] is not None else row["who"]
        changed = ", ".join(row["changed"]) or "-"
        session.say(f"{row['number']:>8} {timestamp(row['time'])} {job}: {row['why']}: {changed}")
    return 0
