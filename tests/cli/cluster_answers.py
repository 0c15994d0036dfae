# SPDX-License-Identifier: BSD-2-Clause
"""What a master answers about a cluster in memory: real fields, in the shapes of the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.luxi.methods import Query, QueryClusterInfo, QueryFields
from ganeti.master.cluster_info import ClusterInfo
from ganeti.query.filters import compile_filter
from ganeti.views.registry import ROWS, TABLES
from tests.cli.terminal import Canned
from tests.views.moments import a_moment


def answers_about(state: ClusterState) -> Canned:
    """The answers to questions about the configured objects of ``state``; no guest runs there."""

    def rows(request: Query) -> Any:
        table = TABLES[request.what]
        wanted = compile_filter(table, request.qfilter).matches
        found = filter(wanted, ROWS[request.what](a_moment(state), None))
        return table.response(request.fields, found)

    def fields(request: QueryFields) -> Any:
        return {"fields": TABLES[request.what].definitions(request.fields)}

    info = ClusterInfo("3.0.2", "x86_64").encoded(state)
    return {Query: rows, QueryFields: fields, QueryClusterInfo: msgspec.json.decode(info)}
