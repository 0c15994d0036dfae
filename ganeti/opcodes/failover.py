# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for the failover of guests when a node is lost, and for rehearsals of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.failover import FailoverPolicy
from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Count, Positive, Text


class SetFailoverPolicy(Opcode, tag="OP_INSTANCE_SET_FAILOVER"):
    """Set what happens to an instance when its guest, or its node, is lost."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    policy: Annotated[
        FailoverPolicy | None,
        doc(
            "off: only the watcher starts it again; restart: the master starts it again on its"
            " node; failover: it also starts on another node if its node is lost."
        ),
    ] = None
    rank: Annotated[
        Count | None,
        doc("Instances with a higher rank start first; those of rank 0, the default, last."),
    ] = None


class ModifyFailover(Opcode, tag="OP_CLUSTER_SET_FAILOVER"):
    """Change the settings of the cluster for the failover of guests."""

    maintenance: Annotated[
        bool | None,
        doc("During maintenance, no node is fenced, and none loses its guests by itself."),
    ] = None
    max_nodes: Annotated[
        Positive | None, doc("Fence at most so many nodes without a person's decision.")
    ] = None
    window: Annotated[
        Count | None, doc("The seconds within which the fenced nodes are counted.")
    ] = None
    require_device: Annotated[
        bool | None,
        doc("Do not rely on nodes without a watchdog device to end their own guests."),
    ] = None


class SetNodeMaintenance(Opcode, tag="OP_NODE_SET_MAINTENANCE"):
    """Begin or end the maintenance of a node, during which it is not fenced."""

    summary_field = "node_name"

    node_name: fields.TheNode
    maintenance: Annotated[bool, doc("Whether the node is in maintenance.")] = True


class ConfirmNodeOff(Opcode, tag="OP_NODE_CONFIRM_OFF"):
    """Confirm that a node is powered off, so that its instances start on other nodes."""

    summary_field = "node_name"

    node_name: fields.TheNode


class RehearseFailure(Opcode, tag="OP_CLUSTER_REHEARSE_FAILURE"):
    """Return where the instances of nodes would start if these nodes failed now, and when."""

    summary_field = "node_names"

    node_names: Annotated[
        tuple[Text, ...], Meta(min_length=1), doc("The nodes that fail together.")
    ]


class SurveyFailures(Opcode, tag="OP_CLUSTER_SURVIVE"):
    """Return which failures of one node, and of two nodes, the cluster survives now."""
