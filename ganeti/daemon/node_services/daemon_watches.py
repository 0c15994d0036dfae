# SPDX-License-Identifier: BSD-2-Clause
"""The services of a node daemon that start and stop other daemons of the node by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.bootstrap.daemons import ETCD, MASTERD, RAPI, runs, start_member
from ganeti.daemon.node_services import candidate_api, member_keeper, standby
from ganeti.daemon.node_services.candidate_api import CandidateApi
from ganeti.daemon.node_services.local_daemons import start_daemons, stop_daemons
from ganeti.daemon.node_services.member_keeper import MemberKeeper
from ganeti.daemon.node_services.prepared_master import PreparedMaster
from ganeti.daemon.node_services.standby import Standby
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.daemon.store.leader_process import has_ended
from ganeti.daemon.store.store_connection import VacancyWatch
from ganeti.errors import GanetiError
from ganeti.journal.etcd.member_files import settings_file
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles


def add_standby(daemon: Daemon, paths: Paths, name: str, port: int, files: IFiles) -> None:
    """Let a candidate start a master when the cluster has none."""
    reactor, in_thread = daemon.reactor, thread_runner(daemon.reactor)
    role = VacancyWatch(reactor, files, paths, name=name, has_ended=has_ended)
    starter = PreparedMaster(in_thread, paths, name, port, active=lambda: role.active)
    watch = Standby(
        role,
        lambda: read_candidates(paths, files),
        lambda: runs(paths, MASTERD),
        starter,
        reactor,
        name=name,
    )

    def end() -> None:
        starter.discard()
        role.close()

    daemon.add(ServicePart("connections to the state store", stop=end))
    daemon.repeat("watch of the leader key", standby.INTERVAL, watch.look, passing=(GanetiError,))


def add_candidate_api(daemon: Daemon, paths: Paths, name: str, port: int, files: IFiles) -> None:
    """Start the remote API when this node becomes a candidate.

    Where the master fails over by itself, clients need another address at once. Elsewhere, the
    service manager and the watcher start it.
    """

    def wanted() -> bool:
        settings = read_settings(files, paths.state_store)
        return (
            settings is not None
            and settings.automatic_failover
            and name in read_candidates(paths, files)
            and files.stat(paths.rapi_certificate) is not None
        )

    api = CandidateApi(
        wanted,
        lambda: runs(paths, RAPI),
        lambda: start_daemons(daemon.reactor, paths, port, RAPI),
    )
    daemon.repeat(
        "start of the remote API", candidate_api.INTERVAL, api.look, passing=(GanetiError,)
    )


def add_member_keeper(daemon: Daemon, paths: Paths, files: IFiles) -> None:
    """Run the member of the state store on this node, if it has one."""
    reactor, in_thread = daemon.reactor, thread_runner(daemon.reactor)
    keeper = MemberKeeper(
        lambda: files.stat(settings_file(paths.store_member)) is not None,
        lambda: runs(paths, ETCD),
        lambda: in_thread(start_member, paths),
        lambda: stop_daemons(reactor, paths, ETCD),
        reactor,
    )
    daemon.repeat(
        "start of the member of the state store",
        member_keeper.INTERVAL,
        keeper.look,
        passing=(GanetiError,),
    )


def read_candidates(paths: Paths, files: IFiles) -> Sequence[str]:
    """Return the names of the master candidates as this node knows them."""
    there = files.stat(f"{paths.data}/ssconf_master_candidates") is not None
    return read_ssconf(paths, "master_candidates").splitlines() if there else ()
