# SPDX-License-Identifier: BSD-2-Clause
"""Users, role grants and tokens as lists show them: without passwords and digests."""

from __future__ import annotations

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.users import Scope
from ganeti.schema.records import replace

_OPENID = (*("issuer", "client_id", "redirect_uri", "username_claim", "groups_claim", "scopes"),)


def listed(state: ClusterState, what: str, *, only: str | None = None) -> list[dict[str, object]]:
    """Return users, grants or tokens without their secrets; ``only`` those of one user.

    :raises Refused: there is nothing of the kind ``what``.
    """
    match what:
        case "users":
            return [
                {
                    "name": user.name,
                    "password": user.password is not None,
                    "disabled": user.disabled,
                    "created": user.created,
                    "comment": user.comment,
                    "roles": sorted(
                        {g.role.value for g in state.role_grants.values() if g.subject == user.name}
                    ),
                }
                for user in sorted(state.users.values(), key=lambda user: user.name)
                if only in (None, user.name)
            ]
        case "roles":
            return [
                {
                    "id": grant.uuid,
                    "subject": grant.subject,
                    "role": grant.role.value,
                    **_scope(state, grant.scope),
                    "created": grant.created,
                }
                for grant in sorted(
                    state.role_grants.values(), key=lambda grant: (grant.subject, grant.uuid)
                )
                if only in (None, grant.subject)
            ]
        case "tokens":
            return [
                {
                    "id": token.uuid,
                    "user": token.user,
                    "role": token.role.value,
                    **_scope(state, token.scope),
                    "created": token.created,
                    "expires": token.expires,
                    "used": token.used or None,
                    "comment": token.comment,
                }
                for token in sorted(
                    state.api_tokens.values(), key=lambda token: (token.user, token.created)
                )
                if only in (None, token.user)
            ]
        case "openid":
            found = state.openid
            if found is None or only is not None:
                return []
            shown = msgspec.to_builtins(replace(found, client_secret=""))
            return [{name: shown[name] for name in _OPENID}]
    raise Refused(
        f"there are no {what}; there are users, roles, tokens, sessions and openid", Code.INPUT
    )


def _scope(state: ClusterState, scope: Scope) -> dict[str, list[str]]:
    named = (state.groups.get(uuid) for uuid in scope.groups)
    return {
        "tags": list(scope.tags),
        "groups": sorted(group.name for group in named if group is not None),
        "owners": list(scope.owners),
    }
