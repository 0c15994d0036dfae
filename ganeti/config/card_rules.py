# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of network cards that ``config.data`` has no place for, kept in ``access.json``.

Ganeti does not start with a ``config.data`` in which a card, or the cluster's defaults of cards,
have parameters that it does not know. So ours are taken out of the objects that are written there,
and put back when both files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from ganeti.config.indexes import Index, lookup
from ganeti.config.state import ClusterState, Stored
from ganeti.model.cluster import Cluster
from ganeti.model.instance import Instance, Nic
from ganeti.model.parameters.nic import GANETIS
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters

CLUSTER = "cluster"
"""The key of the cluster's defaults; all others are UUIDs of instances."""

Rules: TypeAlias = Mapping[str, Mapping[str, Parameters]]
"""Our parameters: of each card of an instance by its UUID, or of each profile of the cluster."""


def without_rules(record: Stored) -> Stored:
    """Return a record as ``config.data`` has it."""
    if isinstance(record, Instance) and any(map(_has_rules, record.nics)):
        nics = tuple(
            replace(nic, nicparams=_pick(nic.nicparams, ours=False)) for nic in record.nics
        )
        return replace(record, nics=nics)
    if isinstance(record, Cluster) and collect_cluster_rules(record):
        profiles = {name: _pick(values, ours=False) for name, values in record.nicparams.items()}
        return replace(record, nicparams=profiles)
    return record


def collect_rules(state: ClusterState) -> dict[str, dict[str, Parameters]]:
    """Return our parameters of all cards, and of the cluster; most clusters have none."""
    found = {}
    if of_cluster := collect_cluster_rules(state.cluster):
        found[CLUSTER] = of_cluster
    instances = state.instances
    for uuid in sorted(lookup(state.indexes, Index.CARD_RULES, Instance, "")):
        nics = instances[uuid].nics
        found[uuid] = {nic.uuid: _pick(nic.nicparams, ours=True) for nic in nics if _has_rules(nic)}
    return found


def collect_cluster_rules(cluster: Cluster) -> dict[str, Parameters]:
    """Return our parameters in the cluster's defaults, by profile."""
    picked = {name: _pick(values, ours=True) for name, values in cluster.nicparams.items()}
    return {name: values for name, values in picked.items() if values}


def restore_rules(state: ClusterState, content: object) -> ClusterState:
    """Return ``state`` with our parameters; those of cards that are gone are left out.

    :raises msgspec.ValidationError: ``content`` is no such section.
    """
    rules = msgspec.convert(content, dict[str, dict[str, Parameters]])
    cluster, instances = state.cluster, state.instances
    for uuid, found in rules.items():
        if uuid == CLUSTER:
            profiles = {
                name: {**values, **found.get(name, {})}
                for name, values in cluster.nicparams.items()
            }
            state = state.put(replace(cluster, nicparams=profiles))
        elif (instance := instances.get(uuid)) is not None:
            nics = tuple(_add(nic, found.get(nic.uuid, {})) for nic in instance.nics)
            state = state.put(replace(instance, nics=nics))
    return state


def _add(nic: Nic, rules: Parameters) -> Nic:
    return replace(nic, nicparams={**nic.nicparams, **rules}) if rules else nic


def _without_rules(nic: Nic) -> Nic:
    return replace(nic, nicparams=_pick(nic.nicparams, ours=False))


def _has_rules(nic: Nic) -> bool:
    return not nic.nicparams.keys() <= GANETIS


def _pick(values: Parameters, *, ours: bool) -> Parameters:
    return {name: value for name, value in values.items() if (name not in GANETIS) is ours}
