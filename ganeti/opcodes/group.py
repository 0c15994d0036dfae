# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for node groups."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import GroupName, Text


class AddGroup(Opcode, tag="OP_GROUP_ADD"):
    """Create a node group."""

    summary_field = "group_name"

    group_name: Annotated[GroupName, doc("Name of the new group.")]
    alloc_policy: fields.AllocPolicy = None
    ndparams: fields.NdParams = None
    diskparams: fields.TemplateParams = None
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    ipolicy: fields.Policy = None


class ModifyGroup(Opcode, tag="OP_GROUP_SET_PARAMS"):
    """Change settings of a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    alloc_policy: fields.AllocPolicy = None
    ndparams: fields.NdParams = None
    diskparams: fields.TemplateParams = None
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    ipolicy: fields.Policy = None


class RenameGroup(Opcode, tag="OP_GROUP_RENAME"):
    """Rename a node group."""

    group_name: fields.TheGroup
    new_name: Annotated[GroupName, doc("New name.")]


class RemoveGroup(Opcode, tag="OP_GROUP_REMOVE"):
    """Remove a node group without nodes."""

    summary_field = "group_name"

    group_name: fields.TheGroup


class AssignNodes(Opcode, tag="OP_GROUP_ASSIGN_NODES"):
    """Assign nodes to a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    force: Annotated[bool, doc("Allow mirrored instances to be split over two groups.")] = False
    nodes: Annotated[tuple[Text, ...], doc("Names of the nodes.")]
    node_uuids: fields.NodeUUIDs = None


class EvacuateGroup(Opcode, tag="OP_GROUP_EVACUATE"):
    """Submit jobs that move all instances out of a node group."""

    summary_field = "group_name"

    group_name: fields.TheGroup
    early_release: fields.EarlyRelease = False
    iallocator: fields.Iallocator = None
    target_groups: fields.TargetGroups = None
    sequential: Annotated[bool, doc("Move the instances one after the other.")] = False
    force_failover: Annotated[bool, doc("Fail over instances instead of migrating them.")] = False


class VerifyGroupDisks(Opcode, tag="OP_GROUP_VERIFY_DISKS"):
    """Find unreachable nodes of a group, and inactive or missing disks of its instances."""

    summary_field = "group_name"

    group_name: fields.TheGroup
