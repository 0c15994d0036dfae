# SPDX-License-Identifier: BSD-2-Clause
"""Changes of cluster settings."""

from __future__ import annotations

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.schema.records import replace


def update_cluster(**fields: object) -> Change:
    """Set fields of the cluster record."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(state.cluster, **fields))

    return change
