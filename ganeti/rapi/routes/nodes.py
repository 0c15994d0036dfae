# SPDX-License-Identifier: BSD-2-Clause
"""The resources of nodes, their roles and their storage."""

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
from ganeti.rapi.request_arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_route
from ganeti.rapi.usage_verbs import shows_usage
from ganeti.rapi.verbs import (
    ApiCall,
    Document,
    SharedOpcodeVerb,
    asks,
    lists,
    submits,
    unknown,
)

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
"""The flags that set each role; the master role cannot be assigned this way."""


async def _show_node(call: ApiCall, _: object, __: object) -> object:
    """Return the details of one node."""
    name = call.path["node_name"]
    found = await call.master.ask(QueryObjects(what="node", fields=FIELDS, names=(name,)))
    if not found:
        raise unknown("node", name)
    # Some clients expect the secondary address under its long name, here only.
    return {**found[0], "secondary_ip": found[0].get("sip")}


async def _show_role(call: ApiCall, _: object, __: object) -> object:
    """Return the role of a node."""
    name = call.path["node_name"]
    rows = await call.master.ask(QueryNodes(names=(name,), fields=("role",)))
    if not rows:
        raise unknown("node", name)
    return ROLES[rows[0][0]]


def _role_to_flags(body: object) -> Document:
    """Turn a role, given as a bare text, into the flags that set it."""
    if not isinstance(body, str) or body not in FLAGS:
        raise Invalid(f"the body must be one of the texts {', '.join(sorted(FLAGS))}")
    return dict(FLAGS[body])


def _move_allocatable(document: Document) -> Document:
    """Move the change of a storage unit to the field where the opcode has it."""
    changes = document.get("changes", {})
    if "allocatable" in document and isinstance(changes, dict):
        changes = {**changes, "allocatable": document.pop("allocatable")}
    return {**document, "changes": changes}


def _required_parameter(
    name: str, kind: ArgumentType, text: str, target: str = ""
) -> QueryParameter:
    return QueryParameter(name, kind, text, target, required=True)


_NODE = "/2/nodes/{node_name}"
_TYPE = _required_parameter(
    "storage_type", ArgumentType.TEXT, "The type of storage: file, lvm-pv or lvm-vg."
)
_UNIT = _required_parameter("name", ArgumentType.TEXT, "The name of the storage unit.")
_COLUMNS = _required_parameter("output_fields", ArgumentType.WORDS, "The fields to return.")
_ALLOCATABLE = QueryParameter(
    "allocatable", ArgumentType.FLAG, "Whether new disks may be created on the storage unit."
)
_PROMOTE = QueryParameter(
    "auto-promote",
    ArgumentType.FLAG,
    "Promote other nodes to master candidates if necessary.",
    "auto_promote",
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
    Route(_NODE, {"GET": asks(_show_node, parameters=(LOCK,), result=dict[str, Any])}),
    Route(
        _NODE + "/evacuate",
        {
            "POST": submits(
                EvacuateNode,
                query=("iallocator", "remote_node", "early_release", "mode"),
                defaults={"mode": "secondary-only"},
            )
        },
    ),
    Route(_NODE + "/migrate", {"POST": submits(MigrateNode, query=("live", "mode"), alone=True)}),
    Route(_NODE + "/modify", {"POST": submits(ModifyNode)}),
    Route(_NODE + "/powercycle", {"POST": submits(PowercycleNode, query=("force",))}),
    Route(
        _NODE + "/role",
        {
            "GET": asks(_show_role, parameters=(LOCK,), result=Role),
            "PUT": submits(ModifyNode, query=("force", _PROMOTE), body=_role_to_flags),
        },
    ),
    Route(
        _NODE + "/storage",
        {
            "GET": SharedOpcodeVerb(
                ListStorage,
                query=("storage_type", _COLUMNS),
                fixed={"nodes": ["{node_name}"]},
            )
        },
    ),
    Route(
        _NODE + "/storage/modify",
        {
            "PUT": submits(
                ModifyStorage,
                query=(_TYPE, _UNIT, _ALLOCATABLE),
                defaults={"changes": {}},
                shape=_move_allocatable,
            ),
        },
    ),
    Route(_NODE + "/storage/repair", {"PUT": submits(RepairStorage, query=(_TYPE, _UNIT))}),
    Route(_NODE + "/usage", {"GET": shows_usage("node", "node_name")}),
    tags_route("node", _NODE, "node_name"),
)
