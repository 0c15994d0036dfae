# SPDX-License-Identifier: BSD-2-Clause
"""Users of the remote API come, change and go, with their roles and tokens."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.users import ApiToken, RoleGrant, UserAccount
from ganeti.schema.records import replace

MAX_TOKENS_OF_USER = 100
"""How many tokens of a user are kept; a new one is refused if so many are valid."""


def account(state: ClusterState, name: str) -> UserAccount:
    """Return the account of a user.

    :raises Refused: there is none.
    """
    found = state.users.get(name)
    if found is None:
        raise Refused(f"there is no user {name}; gnt-access user list shows them", Code.UNKNOWN)
    return found


def add_user(user: UserAccount) -> Change:
    """Add a user."""

    def change(state: ClusterState) -> ClusterState:
        if user.name in state.users:
            raise Refused(f"there is a user {user.name} already", Code.EXISTS)
        return state.put(user)

    return change


def update_user(name: str, **fields: object) -> Change:
    """Change fields of a user."""
    return lambda state: state.put(replace(account(state, name), **fields))


def remove_user(name: str) -> Change:
    """Remove a user, with all grants and tokens."""

    def change(state: ClusterState) -> ClusterState:
        state = state.remove(account(state, name))
        # A later user with the same name must not get them.
        for grant in list(state.role_grants.values()):
            if grant.subject == name:
                state = state.remove(grant)
        for token in list(state.api_tokens.values()):
            if token.user == name:
                state = state.remove(token)
        return state

    return change


def grant_role(grant: RoleGrant) -> Change:
    """Grant a role."""
    return lambda state: state.put(grant)


def revoke_role(grant_id: str) -> Change:
    """Take a role away."""

    def change(state: ClusterState) -> ClusterState:
        found = state.role_grants.get(grant_id)
        if found is None:
            raise Refused(
                f"there is no grant {grant_id}; gnt-access role list shows them", Code.UNKNOWN
            )
        return state.remove(found)

    return change


def add_token(token: ApiToken, now: float) -> Change:
    """Add a token, and forget those that have expired long ago.

    Of its user, so many others that have expired are forgotten, the oldest first, that it has at
    most ``MAX_TOKENS_OF_USER``.
    """

    def change(state: ClusterState) -> ClusterState:
        if token.uuid in state.api_tokens:
            raise Refused(f"there is a token {token.uuid} already", Code.EXISTS)
        state = forget_expired(now)(state)
        own = [each for each in state.api_tokens.values() if each.user == token.user]
        expired = sorted((each for each in own if each.expires <= now), key=_expiry)
        for each in expired[: max(0, len(own) + 1 - MAX_TOKENS_OF_USER)]:
            state = state.remove(each)
        return state.put(token)

    return change


def _expiry(token: ApiToken) -> tuple[int, str]:
    return token.expires, token.uuid


def revoke_token(token_id: str) -> Change:
    """Revoke a token."""

    def change(state: ClusterState) -> ClusterState:
        found = state.api_tokens.get(token_id)
        if found is None:
            raise Refused(
                f"there is no token {token_id}; gnt-access token list shows them", Code.UNKNOWN
            )
        return state.remove(found)

    return change


RETENTION = 30 * 24 * 3600
"""Seconds for which a token is listed after it has expired."""


def forget_expired(now: float) -> Change:
    """Forget the tokens that have expired long ago."""

    def change(state: ClusterState) -> ClusterState:
        for token in list(state.api_tokens.values()):
            if token.expires + RETENTION <= now:
                state = state.remove(token)
        return state

    return change


def note_uses(used: Mapping[str, int]) -> Change:
    """Note when tokens were used last, in seconds since the epoch."""

    def change(state: ClusterState) -> ClusterState:
        for token_id, when in used.items():
            token = state.api_tokens.get(token_id)
            if token is not None and token.used < when:
                state = state.put(replace(token, used=when))
        return state

    return change
