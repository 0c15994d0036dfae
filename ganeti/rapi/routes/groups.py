# SPDX-License-Identifier: BSD-2-Clause
"""The resources of node groups and networks."""

from __future__ import annotations

from ganeti.luxi.methods import QueryGroups, QueryNetworks
from ganeti.opcodes.group import AddGroup, AssignNodes, ModifyGroup, RemoveGroup, RenameGroup
from ganeti.opcodes.network import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    ModifyNetwork,
    RemoveNetwork,
    RenameNetwork,
)
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_route
from ganeti.rapi.verbs import lists, shows, submits

GROUP_FIELDS = (
    *("alloc_policy", "name", "node_cnt", "node_list", "ipolicy", "custom_ipolicy"),
    *("diskparams", "custom_diskparams", "ndparams", "custom_ndparams", "ctime", "mtime"),
    *("uuid", "serial_no", "tags"),
)
NETWORK_FIELDS = (
    *("name", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count"),
    *("reserved_count", "map", "group_list", "inst_list", "external_reservations", "ctime"),
    *("mtime", "uuid", "serial_no", "tags"),
)

_GROUP = "/2/groups/{group_name}"
_NETWORK = "/2/networks/{network_name}"
_CUSTOM = {f"custom_{name}": name for name in ("diskparams", "ipolicy", "ndparams")}

ROUTES = (
    Route(
        "/2/groups",
        {
            "GET": lists(
                "group",
                "groups",
                GROUP_FIELDS,
                lambda fields: QueryGroups(names=(), fields=fields),
                ("name",),
            ),
            "POST": submits(AddGroup, renames={"name": "group_name"}),
        },
    ),
    Route(
        _GROUP,
        {"GET": shows("group", "group_name", GROUP_FIELDS), "DELETE": submits(RemoveGroup)},
    ),
    Route(_GROUP + "/assign-nodes", {"PUT": submits(AssignNodes, query=("force",))}),
    Route(_GROUP + "/modify", {"PUT": submits(ModifyGroup, renames=_CUSTOM)}),
    Route(_GROUP + "/rename", {"PUT": submits(RenameGroup)}),
    tags_route("nodegroup", _GROUP, "group_name"),
    Route(
        "/2/networks",
        {
            "GET": lists(
                "network",
                "networks",
                NETWORK_FIELDS,
                lambda fields: QueryNetworks(names=(), fields=fields),
                ("name",),
            ),
            "POST": submits(AddNetwork, renames={"name": "network_name"}),
        },
    ),
    Route(
        _NETWORK,
        {
            "GET": shows("network", "network_name", NETWORK_FIELDS),
            "DELETE": submits(RemoveNetwork, query=("force",)),
        },
    ),
    Route(_NETWORK + "/connect", {"PUT": submits(ConnectNetwork)}),
    Route(_NETWORK + "/disconnect", {"PUT": submits(DisconnectNetwork)}),
    Route(_NETWORK + "/modify", {"PUT": submits(ModifyNetwork)}),
    Route(_NETWORK + "/rename", {"PUT": submits(RenameNetwork)}),
    tags_route("network", _NETWORK, "network_name"),
)
