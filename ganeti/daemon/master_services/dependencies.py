# SPDX-License-Identifier: BSD-2-Clause
"""The boundaries of the master on the real operating system."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

from ganeti.daemon.master_services.allocators import Allocators
from ganeti.daemon.master_services.cluster_keys import LocalClusterKeys
from ganeti.daemon.master_services.identifiers import SystemIdentifiers
from ganeti.daemon.master_services.local_hooks import LocalHooks
from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.master_services.notification_senders import NotificationSenders
from ganeti.daemon.master_services.placement_solver import SolverProgram
from ganeti.daemon.store.state_store import LocalMoveTools
from ganeti.master.master import Dependencies
from ganeti.master.mastership import MasterTerm
from ganeti.operations.operation import SharedFiles
from ganeti.pki.issuing import IssuingProgram
from ganeti.rpc.call import Nodes
from ganeti.system.state_files import LocalStateFiles


def make_dependencies(
    host: MasterHost,
    nodes: Nodes,
    *,
    shared: SharedFiles,
    keys: LocalClusterKeys,
    senders: NotificationSenders,
    make_votes: Callable[[], MasterTerm],
    settle_uploads: Callable[[], Awaitable[None]],
) -> Dependencies:
    """Return what the master is given on this host.

    ``make_votes`` and ``settle_uploads`` are those of ``LocalMoveTools``.
    """
    paths = host.paths
    return Dependencies(
        files=host.files,
        places=host.places,
        nodes=nodes,
        clock=host.reactor,
        now=time.time,
        ids=SystemIdentifiers(),
        run_allocator=Allocators(
            host.files, host.processes, paths.allocator_search_path, f"{paths.run}/iallocators"
        ),
        shared=shared,
        machine=os.uname().machine,
        issue=IssuingProgram(host.processes, paths.authority, paths.authority_key),
        solve=SolverProgram(host.processes),
        keys=keys,
        name=host.name,
        sessions=LocalStateFiles(f"{paths.run}/sessions", mode=0o600),
        senders=senders,
        hooks_here=LocalHooks(host.files, paths.hooks),
        move_tools=LocalMoveTools(
            host.reactor,
            host.files,
            paths,
            host.name,
            host.lost,
            shared,
            make_votes,
            settle_uploads,
            host.stores,
        ),
    )
