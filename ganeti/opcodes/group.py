# SPDX-License-Identifier: BSD-2-Clause
"""Requests about node groups."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import GroupName, Text


class AddGroup(Opcode, tag="OP_GROUP_ADD"):
    """Create a node group."""

    summary_field = "group_name"

    group_name: Annotated[GroupName, doc("The name of the new group.")]
    alloc_policy: fields.AllocPolicy = None
    ndparams: fields.NdParams = None
    diskparams: fields.TemplateParams = None
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    ipolicy: fields.Policy = None


class ModifyGroup(Opcode, tag="OP_GROUP_SET_PARAMS"):
    """Change the settings of a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    alloc_policy: fields.AllocPolicy = None
    ndparams: fields.NdParams = None
    diskparams: fields.TemplateParams = None
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    ipolicy: fields.Policy = None


class RenameGroup(Opcode, tag="OP_GROUP_RENAME"):
    """Give a node group another name."""

    group_name: fields.TheGroup
    new_name: Annotated[GroupName, doc("The new name.")]


class RemoveGroup(Opcode, tag="OP_GROUP_REMOVE"):
    """Delete a node group that has no nodes."""

    summary_field = "group_name"

    group_name: fields.TheGroup


class AssignNodes(Opcode, tag="OP_GROUP_ASSIGN_NODES"):
    """Put nodes into a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    force: Annotated[bool, doc("Even if that splits mirrored instances over two groups.")] = False
    nodes: Annotated[tuple[Text, ...], doc("The nodes.")]
    node_uuids: fields.NodeUUIDs = None


class EvacuateGroup(Opcode, tag="OP_GROUP_EVACUATE"):
    """Submit the jobs that move all instances out of a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    early_release: fields.EarlyRelease = False
    iallocator: fields.Iallocator = None
    target_groups: fields.TargetGroups = None
    sequential: Annotated[bool, doc("Move one instance after the other.")] = False
    force_failover: Annotated[bool, doc("Fail over instead of migrating.")] = False


class VerifyGroupDisks(Opcode, tag="OP_GROUP_VERIFY_DISKS"):
    """Find the nodes of a group that do not answer, and disks to activate or missing."""

    summary_field = "group_name"

    group_name: fields.TheGroup
