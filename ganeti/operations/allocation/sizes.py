# SPDX-License-Identifier: BSD-2-Clause
"""The size of existing instances, for policies and allocation."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES, Disk, Template
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.model.parameters.filling import backend_of, policy_of
from ganeti.operations.allocation.allocation_request import Placement
from ganeti.operations.allocation.candidates import ON_PAPER, list_sizes
from ganeti.operations.allocation.policy_check import PolicySize, check_policy


def size_of(instance: Instance, disks: Sequence[Disk], state: ClusterState) -> PolicySize:
    """Return the size of an instance with these disks."""
    backend = backend_of(state.cluster, instance)
    return PolicySize(
        memory=backend.maxmem,
        vcpus=backend.vcpus,
        disks=[disk.size for disk in disks],
        nics=len(instance.nics),
        spindles=backend.spindle_use,
        template=disks[0].dev_type if disks else Template.DISKLESS,
    )


def check_group_policy(
    node: Node, instance: Instance, disks: Sequence[Disk], state: ClusterState
) -> None:
    """Check an instance against the policy of the group of ``node``.

    :raises Refused: with all violations.
    """
    policy = policy_of(state.cluster, state.groups[node.group])
    check_policy(size_of(instance, disks, state), policy, instance.name)


def make_placement(
    instance: Instance,
    disks: Sequence[Disk],
    state: ClusterState,
    *,
    away_from: Sequence[str] = (),
    group: str | None = None,
    runs_there: bool = True,
) -> Placement:
    """Return the request for another node for an existing instance.

    Shared disks need no space there; that of disks in a thin pool is checked by the node. Unless
    ``runs_there``, the node becomes a secondary node.
    """
    size = size_of(instance, disks, state)
    needs_disk = size.template not in SHARED_TEMPLATES
    up = instance.admin_state is AdminState.UP
    return Placement(
        name=instance.name,
        memory=size.memory if up and (runs_there or size.template in MIRRORED_TEMPLATES) else 0,
        vcpus=0 if instance.hypervisor in ON_PAPER else size.vcpus,
        disks=list_sizes(disks) if needs_disk else (),
        template=size.template,
        wanted=1,
        away_from=frozenset(away_from),
        group=group,
    )
