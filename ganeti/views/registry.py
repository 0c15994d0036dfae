# SPDX-License-Identifier: BSD-2-Clause
"""The tables and rows of all kinds of objects, by the kind's name in queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ganeti.query.fields import Table
from ganeti.views import filters, groups, images, networks, nodes
from ganeti.views.cluster import CLUSTER
from ganeti.views.exports import EXPORTS
from ganeti.views.extstorage import EXTSTORAGE
from ganeti.views.instances import row as instances
from ganeti.views.instances.instance_fields import INSTANCES
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
    "image": images.IMAGES,
    "instance": INSTANCES,
    "job": JOBS,
    "lock": LOCKS,
    "network": networks.NETWORKS,
    "node": nodes.NODES,
    "os": OSES,
}

ROWS: Mapping[str, Callable[[ClusterSnapshot, Iterable[str] | None], Sequence[object]]] = {
    "filter": filters.rows,
    "group": groups.rows,
    "image": images.rows,
    "instance": instances.rows,
    "network": networks.rows,
    "node": nodes.rows,
}
"""Builds the rows of the kinds in the configuration: all rows, or those with the given names."""
