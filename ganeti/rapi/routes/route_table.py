# SPDX-License-Identifier: BSD-2-Clause
"""All routes, and the resources that list them."""

from __future__ import annotations

from functools import cache
from typing import Any, TypedDict

import msgspec

from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.openapi import description
from ganeti.rapi.routes import (
    access,
    backup_routes,
    cluster,
    failover,
    groups,
    images,
    instances,
    jobs,
    nodes,
    notifications,
    placement,
    snapshots,
)
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, Verb, asks, opens_console, streams


class Child(TypedDict):
    """A child of a resource."""

    name: str
    uri: str


async def _list_root(_: ApiCall, __: object, ___: object) -> object:
    """Return the top-level resources."""
    return [{"name": name, "uri": f"/{name}"} for name in _list_children(0)]


async def _list_version_2(_: ApiCall, __: object, ___: object) -> object:
    """Return the resources of version 2 of this interface."""
    return [{"name": name, "uri": f"/2/{name}"} for name in _list_children(1)]


@cache
def _list_children(depth: int) -> tuple[str, ...]:
    # Clients that follow the listed resources expect finite JSON documents.
    listed = (route for route in ROUTES if not any(map(_is_not_json, route.verbs.values())))
    found = {route.segments[depth] for route in listed if len(route.segments) > depth}
    return tuple(sorted(found - {""}))


def _is_not_json(verb: Verb) -> bool:
    """Return whether the answer of a verb is not a JSON document."""
    return isinstance(verb, streams | MetricsVerb | opens_console)


async def _show_openapi(_: ApiCall, __: object, ___: object) -> object:
    """Return the OpenAPI description of this interface."""
    return _encode_description()


@cache
def _encode_description() -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(description(ROUTES)))


ROUTES: tuple[Route, ...] = (
    Route("/", {"GET": asks(_list_root, result=list[Child])}),
    Route("/2", {"GET": asks(_list_version_2, result=list[Child])}),
    Route("/2/openapi", {"GET": asks(_show_openapi, result=dict[str, Any])}),
    Route("/metrics", {"GET": MetricsVerb()}),
    *cluster.ROUTES,
    *instances.ROUTES,
    *nodes.ROUTES,
    *jobs.ROUTES,
    *groups.ROUTES,
    *images.ROUTES,
    *access.ROUTES,
    *notifications.ROUTES,
    *placement.ROUTES,
    *failover.ROUTES,
    *snapshots.ROUTES,
    *backup_routes.ROUTES,
)
