# SPDX-License-Identifier: BSD-2-Clause
"""Which role a method of a route needs: read from what the method does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ganeti.access.permissions import ON_INSTANCE, OWN_TOKENS, UNLIMITED_KINDS, role_for
from ganeti.model.users import Role
from ganeti.opcodes.opcode import op_id
from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.route import Route
from ganeti.rapi.upload_verbs import receives_image
from ganeti.rapi.verbs import Verb, asks, lists, shows, submits


@dataclass(frozen=True)
class Permission:
    """``role`` is the least one; ``limited`` is whether it may be limited to some instances."""

    role: Role
    limited: bool


_BY_ACCESS = {
    AccessLevel.PUBLIC: Role.VIEWER,
    AccessLevel.TICKET: Role.VIEWER,  # it took an operator of the instance to get the ticket
    AccessLevel.OPEN: Role.VIEWER,
    AccessLevel.LOGIN: Role.VIEWER,
    AccessLevel.METERED: Role.VIEWER,
    AccessLevel.WRITE: Role.OPERATOR,
    AccessLevel.ADMIN: Role.ADMIN,
}


def permission(verb: Verb) -> Permission:
    """Return what a method of a route needs."""
    if isinstance(verb, submits):
        name, kind = op_id(verb.opcode), verb.fixed.get("kind")
        if name in OWN_TOKENS:
            return Permission(Role.VIEWER, True)  # the master knows whose they are
        on_instance = name in ON_INSTANCE and kind in (None, "instance")
        role = role_for(name, on_instance=kind == "instance")
        return Permission(role, on_instance)
    role = _BY_ACCESS[verb.access]
    if isinstance(verb, receives_image):
        return Permission(role, False)
    if isinstance(verb, lists | shows):
        return Permission(role, verb.what not in UNLIMITED_KINDS)
    if isinstance(verb, MetricsVerb):
        return Permission(role, False)
    if isinstance(verb, asks):
        return Permission(role, not verb.unlimited)
    return Permission(role, True)


def table(routes: Iterable[Route]) -> Iterator[tuple[str, str, Permission]]:
    """Return each method of each route with what it needs."""
    for route in routes:
        for method, verb in route.verbs.items():
            yield route.path, method, permission(verb)
