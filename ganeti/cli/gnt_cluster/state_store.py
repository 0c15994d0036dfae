# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster modify``: the move of the state, which is no job, and all other changes."""

from __future__ import annotations

from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.bootstrap.own_members import create_own_store, write_own_store
from ganeti.bootstrap.store_access import (
    describe_store,
    has_external_store,
    write_store_access,
)
from ganeti.cli import opcode_request
from ganeti.cli.command import Arguments, Document
from ganeti.cli.command_options import long_flag
from ganeti.cli.gnt_cluster.init_options import (
    fails_over,
    require_etcd,
    store_access,
    wants_own_members,
)
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.luxi.methods import MoveState, QueryClusterInfo

_ETCD = ("etcd_endpoints", "etcd_ca", "etcd_certificate", "automatic_failover")


def modify(session: Session, arguments: Arguments) -> int:
    """Change the cluster: move its state if ``--state-store`` is given, or submit a job."""
    options = ("state_store", *_ETCD)
    if not any(name in arguments for name in options):
        return opcode_request.request(session, arguments)
    if others := [name for name in arguments.values if name not in (*options, "debug")]:
        flag = long_flag(arguments.command, others[0])
        raise ExitTool(FAILURE, f"--state-store moves the state only; give {flag} separately")
    store = arguments.get("state_store", "")
    if not store:
        raise ExitTool(FAILURE, "options of etcd need --state-store etcd as well")
    access = store_access(arguments)
    if access is not None or (
        # An external etcd of an earlier move is used again without options. Members that the
        # cluster ran itself are gone since the state was moved from them.
        wants_own_members(arguments) and not has_external_store(session.paths)
    ):
        cluster = session.ask(QueryClusterInfo())
        _check_not_in_use(session)
        if access is not None:
            write_store_access(session.paths, access, str(cluster["uuid"]), in_use=False)
        else:
            _write_own_store(session, arguments, cluster)
    while not session.ask(MoveState(store=store)):
        session.print_line("The state is being moved; waiting.")
    session.print_line(
        f"The state of the cluster is in {'etcd' if store == 'etcd' else 'files'} now."
    )
    return 0


def _write_own_store(session: Session, arguments: Arguments, cluster: Document) -> None:
    """Have the node daemon of this node, the master, run the first member."""
    require_etcd(session.environment.get("PATH"))
    paths, name = session.paths, session.host()
    known = dict(line.split(" ", 1) for line in read_ssconf(paths, "node_primary_ips").splitlines())
    own = create_own_store(
        paths,
        str(cluster["name"]),
        name,
        known[name],
        automatic_failover=fails_over(arguments),
    )
    write_own_store(paths, own, str(cluster["uuid"]), in_use=False)


def _check_not_in_use(session: Session) -> None:
    """Refuse to overwrite the settings of the store that has the state.

    :raises ExitTool: the state is in etcd.
    """
    if describe_store(session.paths) != "files":
        raise ExitTool(FAILURE, "the state is in etcd already; move it to files first")
