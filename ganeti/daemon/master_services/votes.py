# SPDX-License-Identifier: BSD-2-Clause
"""The votes of the nodes, for a state that moves from its store to files."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import SystemRandom

from ganeti.config.state import ClusterState
from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.errors import Failed
from ganeti.journal.file_journal import FileJournal
from ganeti.master.follower import to_wire
from ganeti.master.mastership import MasterTerm
from ganeti.node.voter import read_voter_state
from ganeti.paths import Paths
from ganeti.rpc.call import Nodes
from ganeti.system.interfaces import IFiles


def make_votes(
    host: MasterHost, nodes: Nodes, journal: FileJournal, state: Callable[[], ClusterState]
) -> MasterTerm:
    """Return a term that the nodes have yet to grant to the master of this host."""
    return MasterTerm(
        nodes,
        host.name,
        lambda: list(state().nodes.values()),
        host.reactor,
        lost=host.lost,
        acknowledged=lambda: to_wire(journal.acknowledged()),
        own_term=lambda: read_own_term(host.files, host.paths, host.name),
        process=os.getpid(),
        random=SystemRandom(),
    )


def read_own_term(files: IFiles, paths: Paths, name: str) -> int:
    """Return the term that the node daemon of this host has granted to this master; 0 if none."""
    try:
        state = read_voter_state(files, paths.term_file)
    except (OSError, Failed):
        return 0  # the local vote does not count while its file cannot be read
    return state.term if state.master == name else 0
