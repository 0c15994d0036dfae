# SPDX-License-Identifier: BSD-2-Clause
"""Every kind of object that can be asked about, under the name that questions use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ganeti.query.fields import Table
from ganeti.views import filters, groups, networks, nodes
from ganeti.views.cluster import CLUSTER
from ganeti.views.exports import EXPORTS
from ganeti.views.extstorage import EXTSTORAGE
from ganeti.views.instances import row as instances
from ganeti.views.instances.table import INSTANCES
from ganeti.views.jobs import JOBS
from ganeti.views.locks import LOCKS
from ganeti.views.oses import OSES
from ganeti.views.snapshot import ClusterSnapshot

TABLES: Mapping[str, Table[Any]] = {
    "cluster": CLUSTER,
    "export": EXPORTS,
    "extstorage": EXTSTORAGE,
    "filter": filters.FILTERS,
    "group": groups.GROUPS,
    "instance": INSTANCES,
    "job": JOBS,
    "lock": LOCKS,
    "network": networks.NETWORKS,
    "node": nodes.NODES,
    "os": OSES,
}

ROWS: Mapping[str, Callable[[ClusterSnapshot, Iterable[str] | None], Sequence[Any]]] = {
    "filter": filters.rows,
    "group": groups.rows,
    "instance": instances.rows,
    "network": networks.rows,
    "node": nodes.rows,
}
"""Makes the rows of kinds that are in the configuration: all, or those of some names."""
