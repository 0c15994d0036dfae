# SPDX-License-Identifier: BSD-2-Clause
"""Nodes, their roles and their storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ganeti.errors import Invalid
from ganeti.luxi.methods import QueryNodes, QueryObjects
from ganeti.opcodes.node import (
    EvacuateNode,
    ListStorage,
    MigrateNode,
    ModifyNode,
    ModifyStorage,
    PowercycleNode,
    RepairStorage,
)
from ganeti.rapi.arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_of
from ganeti.rapi.verbs import ApiCall, Document, asks, lists, submits, submits_shared, unknown

FIELDS = (
    *("name", "offline", "master_candidate", "drained", "dtotal", "dfree", "sptotal", "spfree"),
    *("mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt", "ctotal", "cnos", "cnodes"),
    *("csockets", "pip", "sip", "role", "pinst_list", "sinst_list", "master_capable"),
    *("vm_capable", "ndparams", "group.uuid", "ctime", "mtime", "uuid", "serial_no", "tags"),
)

ROLES = {
    "M": "master",
    "C": "master-candidate",
    "D": "drained",
    "O": "offline",
    "R": "regular",
}
"""The role of a node by its letter."""

Role: TypeAlias = Literal["master", "master-candidate", "drained", "offline", "regular"]

FLAGS: Mapping[str, Document] = {
    "regular": {"master_candidate": False, "offline": False, "drained": False},
    "master-candidate": {"master_candidate": True, "offline": None, "drained": None},
    "drained": {"master_candidate": None, "offline": None, "drained": True},
    "offline": {"master_candidate": None, "offline": True, "drained": None},
}
"""What gives a node a role; nobody becomes master this way."""


async def _node(call: ApiCall, _: Mapping[str, Any], __: Any) -> Any:
    """What is known of one node."""
    name = call.path["node_name"]
    found = await call.master.ask(QueryObjects(what="node", fields=FIELDS, names=(name,)))
    if not found:
        raise unknown("node", name)
    # Some clients want the second address under its long name, and only here.
    return {**found[0], "secondary_ip": found[0].get("sip")}


async def _role(call: ApiCall, _: Mapping[str, Any], __: Any) -> Any:
    """The role of a node in its cluster."""
    name = call.path["node_name"]
    rows = await call.master.ask(QueryNodes(names=(name,), fields=("role",)))
    if not rows:
        raise unknown("node", name)
    return ROLES[rows[0][0]]


def _flags(body: Any) -> Document:
    """A role, as a bare text, as the flags that make it."""
    if not isinstance(body, str) or body not in FLAGS:
        raise Invalid(f"the body must be one of the texts {', '.join(sorted(FLAGS))}")
    return dict(FLAGS[body])


def _allocatable(document: Document) -> Document:
    """Moves what changes of a storage unit to where the opcode has it."""
    changes = document.get("changes", {})
    if "allocatable" in document and isinstance(changes, dict):
        changes = {**changes, "allocatable": document.pop("allocatable")}
    return {**document, "changes": changes}


def _needed(name: str, kind: ArgumentType, text: str, target: str = "") -> QueryParameter:
    return QueryParameter(name, kind, text, target, required=True)


_ONE = "/2/nodes/{node_name}"
_TYPE = _needed("storage_type", ArgumentType.TEXT, "The kind of storage: file, lvm-pv or lvm-vg.")
_UNIT = _needed("name", ArgumentType.TEXT, "The name of the storage unit.")
_COLUMNS = _needed("output_fields", ArgumentType.WORDS, "The columns of the answer.")
_ALLOCATABLE = QueryParameter(
    "allocatable", ArgumentType.FLAG, "Whether new disks may be made there."
)
_PROMOTE = QueryParameter(
    "auto-promote", ArgumentType.FLAG, "Promote others as needed.", "auto_promote"
)

ROUTES = (
    Route(
        "/2/nodes",
        {
            "GET": lists(
                "node",
                "nodes",
                FIELDS,
                lambda fields: QueryNodes(names=(), fields=fields),
                ("id",),
            )
        },
    ),
    Route(_ONE, {"GET": asks(_node, parameters=(LOCK,), result=dict[str, Any])}),
    Route(
        _ONE + "/evacuate",
        {
            "POST": submits(
                EvacuateNode,
                query=("iallocator", "remote_node", "early_release", "mode"),
                defaults={"mode": "secondary-only"},
            )
        },
    ),
    Route(_ONE + "/migrate", {"POST": submits(MigrateNode, query=("live", "mode"), alone=True)}),
    Route(_ONE + "/modify", {"POST": submits(ModifyNode)}),
    Route(_ONE + "/powercycle", {"POST": submits(PowercycleNode, query=("force",))}),
    Route(
        _ONE + "/role",
        {
            "GET": asks(_role, parameters=(LOCK,), result=Role),
            "PUT": submits(ModifyNode, query=("force", _PROMOTE), body=_flags),
        },
    ),
    Route(
        _ONE + "/storage",
        {
            "GET": submits_shared(
                ListStorage,
                query=("storage_type", _COLUMNS),
                fixed={"nodes": ["{node_name}"]},
            )
        },
    ),
    Route(
        _ONE + "/storage/modify",
        {
            "PUT": submits(
                ModifyStorage,
                query=(_TYPE, _UNIT, _ALLOCATABLE),
                defaults={"changes": {}},
                shape=_allocatable,
            ),
        },
    ),
    Route(_ONE + "/storage/repair", {"PUT": submits(RepairStorage, query=(_TYPE, _UNIT))}),
    tags_of("node", _ONE, "node_name"),
)
