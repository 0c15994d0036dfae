# SPDX-License-Identifier: BSD-2-Clause
"""The secret of a migration, with which its two nodes authenticate each other and encrypt."""

from __future__ import annotations

from ganeti.errors import CallUnknown, Refused
from ganeti.model.node import Node
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import DescribeMigrations, MigrationFeature


async def make_secret(subject: InstanceContext, target: Node, tools: Tools, *, copies: bool) -> str:
    """Return a new secret, or an empty one if a node of an earlier release cannot use it.

    :raises Refused: the nodes cannot copy disks while the guest runs, which ``copies`` asks for.
    """
    instance = subject.instance
    ask = DescribeMigrations(hypervisor=instance.hypervisor)
    for node in (subject.primary, target):
        try:
            features = await tools.nodes.ask(node, ask)
        except CallUnknown:
            if copies:
                raise Refused(
                    f"node {node.name} has an earlier release, which cannot copy the disks of"
                    f" running instance {instance.name}: upgrade it, or copy them while the"
                    f" instance is stopped: gnt-instance move -n {target.name} {instance.name}"
                ) from None
            tools.progress.log_message(
                f"node {node.name} has an earlier release: the migration is not encrypted"
            )
            return ""
        if copies and MigrationFeature.COPIES.value not in features:
            raise Refused(
                f"hypervisor {instance.hypervisor} of node {node.name} does not copy the disks of"
                " running instances; to copy them while the instance is stopped: gnt-instance move"
                f" -n {target.name} {instance.name}"
            )
    return tools.ids.secret()
