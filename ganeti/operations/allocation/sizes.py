# SPDX-License-Identifier: BSD-2-Clause
"""How large an existing instance is, for policies and for placement."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, REACHED_FROM_ANYWHERE, Disk, Template
from ganeti.model.instance import Instance, Wanted
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, policy_filled
from ganeti.operations.allocation.policy_check import PolicySize, require_policy
from ganeti.operations.allocation.request import Placement


def size_of(instance: Instance, disks: Sequence[Disk], state: ClusterState) -> PolicySize:
    """The size of an instance with these disks."""
    filled = be_filled(state.cluster, instance)
    return PolicySize(
        memory=int(filled["maxmem"]),
        vcpus=int(filled["vcpus"]),
        disks=[disk.size for disk in disks],
        nics=len(instance.nics),
        spindles=int(filled["spindle_use"]),
        template=disks[0].dev_type if disks else Template.DISKLESS,
    )


def require_policy_of(
    node: Node, instance: Instance, disks: Sequence[Disk], state: ClusterState
) -> None:
    """Refuse an instance that the group of ``node`` does not take.

    :raises Refused: with everything that is out of bounds.
    """
    policy = policy_filled(state.cluster, state.groups[node.group])
    require_policy(size_of(instance, disks, state), policy, instance.name)


def placement_of(
    instance: Instance,
    disks: Sequence[Disk],
    state: ClusterState,
    *,
    away_from: Sequence[str] = (),
    group: str | None = None,
    runs_there: bool = True,
) -> Placement:
    """The wish for one more node for an existing instance.

    Only disks that are not reached from anywhere take space there; unless it ``runs_there``, the
    node becomes its secondary and takes only the disks.
    """
    size = size_of(instance, disks, state)
    needs_disk = size.template not in REACHED_FROM_ANYWHERE
    up = instance.admin_state is Wanted.UP
    return Placement(
        name=instance.name,
        memory=size.memory if up and (runs_there or size.template in MIRRORED_BETWEEN_NODES) else 0,
        vcpus=size.vcpus,
        disks=size.disks if needs_disk else (),
        template=size.template,
        wanted=1,
        away_from=frozenset(away_from),
        group=group,
    )
