# SPDX-License-Identifier: BSD-2-Clause
"""Network cards of an instance that comes to a node of another node group.

A network is connected to each group by a mode, a link and a VLAN of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Nic
from ganeti.model.node import Node
from ganeti.schema.records import replace


def connect_on(instance: Instance, node: Node, state: ClusterState) -> Instance:
    """Return the instance with the cards that it has on a node.

    They are as before within the group of its primary node. Elsewhere, those of networks have the
    parameters of the connection to that group; one whose network is not connected there, which
    only a forced move leaves, keeps its parameters.
    """
    if state.nodes[instance.primary_node].group == node.group:
        return instance
    return replace(instance, nics=_connect(instance.nics, state.groups[node.group]))


def _connect(nics: Sequence[Nic], group: Group) -> tuple[Nic, ...]:
    return tuple(
        replace(nic, nicparams={**nic.nicparams, **group.networks[nic.network]})
        if nic.network in group.networks
        else nic
        for nic in nics
    )
