# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's own settings change."""

from __future__ import annotations

from typing import Any

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.schema.records import replace


def update_cluster(**fields: Any) -> Change:
    """Give fields of the cluster new values."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(state.cluster, **fields))

    return change
