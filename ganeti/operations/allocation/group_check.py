# SPDX-License-Identifier: BSD-2-Clause
"""Check that an instance can move to a node of another node group."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk
from ganeti.model.node import Node
from ganeti.operations.allocation.sizes import check_group_policy
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.nic_networks import connected


def require_group(
    target: Node,
    subject: InstanceContext,
    disks: Sequence[Disk],
    state: ClusterState,
    *,
    ignore_ipolicy: bool = False,
) -> None:
    """Refuse a node whose group lacks networks of the instance, or has a policy that it breaks.

    Within its group an instance moves whatever its size is by now.

    :raises Refused: the instance cannot come to the group.
    """
    if target.group == subject.primary.group:
        return
    instance = subject.instance
    connected(instance.nics, state.groups[target.group], state, before=instance.nics)
    if not ignore_ipolicy:
        check_group_policy(target, instance, disks, state)
