# SPDX-License-Identifier: BSD-2-Clause
"""Users of the remote API, the roles that they are granted, and their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized
from dataclasses import dataclass

from ganeti.access.passwords import SCHEME, check_of
from ganeti.access.tokens import MAX_LIFETIME
from ganeti.access.url_security import is_secure
from ganeti.config.changes import access as changes
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.users import (
    GROUP_PREFIX,
    ApiToken,
    OpenIdProvider,
    RoleGrant,
    Scope,
    UserAccount,
)
from ganeti.opcodes.access import (
    AddToken,
    AddUser,
    GrantRole,
    ModifyUser,
    RemoveOpenId,
    RemoveUser,
    RevokeRole,
    RevokeToken,
    SetOpenId,
)
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.schema.records import FieldValues
from ganeti.schema.types import USER_NAME

MAX_USERS = 10_000
MAX_GRANTS = 10_000


@dataclass(frozen=True)
class Recorded:
    """A change of the configuration, which is all there is to do."""

    change: Change
    result: object = None

    @property
    def locks(self) -> LockRequest:
        return {}


@dataclass(frozen=True)
class AddedToken:
    """A token, whose time begins when it is added."""

    op: AddToken
    scope: Scope

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_add_user(op: AddUser, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on adding a user."""
    _require_room(state.users, MAX_USERS, "users")
    _require_hash(op.password_hash)
    user = UserAccount(
        uuid=op.user_name,
        created=int(facts.since or 0),
        password=op.password_hash,
        comment=op.note,
    )
    return _checked(changes.add_user(user), state)


def plan_modify_user(op: ModifyUser, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on changing a user."""
    _require_hash(op.password_hash)
    if op.remove_password and op.password_hash is not None:
        raise Invalid([Problem("remove_password", "goes without a new password")])
    fields: FieldValues = {}
    if op.password_hash is not None or op.remove_password:
        fields["password"] = op.password_hash
    if op.disabled is not None:
        fields["disabled"] = op.disabled
    if op.note is not None:
        fields["comment"] = op.note
    if not fields:
        raise Refused(f"nothing is to be changed of user {op.user_name}", Code.INPUT)
    return _checked(changes.update_user(op.user_name, **fields), state)


def plan_remove_user(op: RemoveUser, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on removing a user."""
    return _checked(changes.remove_user(op.user_name), state)


def plan_grant(op: GrantRole, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on granting a role, or refuse one that is granted already."""
    _require_room(state.role_grants, MAX_GRANTS, "grants")
    if not op.subject.startswith(GROUP_PREFIX):
        changes.account(state, op.subject)
    scope = _scope(op, state)
    for known in state.role_grants.values():
        if (known.subject, known.role, known.scope) == (op.subject, op.role, scope):
            raise Refused(f"{op.subject} has this role already, by grant {known.uuid}", Code.EXISTS)
    grant = RoleGrant(
        uuid=facts.identity,
        subject=op.subject,
        role=op.role,
        created=int(facts.since or 0),
        scope=scope,
    )
    return _checked(changes.grant_role(grant), state, grant.uuid)


def plan_revoke(op: RevokeRole, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on taking a role away."""
    return _checked(changes.revoke_role(op.grant_id), state)


def plan_add_token(op: AddToken, state: ClusterState, facts: NodeAnswers) -> AddedToken:
    """Decide on adding a token."""
    changes.account(state, op.user_name)
    if op.lifetime > MAX_LIFETIME:
        raise Invalid([Problem("lifetime", f"is longer than {MAX_LIFETIME} seconds")])
    if op.token_id in state.api_tokens:
        raise Refused(f"there is a token {op.token_id} already", Code.EXISTS)
    now = int(facts.since or 0)
    # Those that have expired make room for the new one.
    held = sum(
        token.user == op.user_name and token.expires > now for token in state.api_tokens.values()
    )
    if held >= changes.MAX_TOKENS_OF_USER:
        raise Refused(
            f"user {op.user_name} has {held} valid tokens, which is the most; revoke some of them",
            Code.RESOURCES,
        )
    return AddedToken(op, _scope(op, state))


def plan_revoke_token(op: RevokeToken, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on revoking a token."""
    return _checked(changes.revoke_token(op.token_id), state)


def plan_set_openid(op: SetOpenId, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on the OpenID provider."""
    wrong = [
        Problem(name, "must be an address with https://, or of this host")
        for name in ("issuer", "redirect_uri")
        if not is_secure(getattr(op, name))
    ]
    if "openid" not in op.scopes:
        wrong.append(Problem("scopes", "must have openid among them"))
    if wrong:
        raise Invalid(wrong)
    provider = OpenIdProvider(
        uuid=state.cluster.uuid,
        issuer=op.issuer,
        client_id=op.client_id,
        redirect_uri=op.redirect_uri,
        client_secret=op.client_secret or "",
        username_claim=op.username_claim,
        groups_claim=op.groups_claim,
        scopes=op.scopes,
    )
    return Recorded(lambda state: state.put(provider))


def plan_remove_openid(op: RemoveOpenId, state: ClusterState, facts: NodeAnswers) -> Recorded:
    """Decide on removing the OpenID provider."""

    def change(state: ClusterState) -> ClusterState:
        if state.openid is None:
            raise Refused("there is no OpenID provider", Code.UNKNOWN)
        return state.remove(state.openid)

    return _checked(change, state)


async def run_change(plan: Recorded, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(plan.result, plan.change)


async def run_add_token(plan: AddedToken, tools: Tools) -> ResultWithCommit:
    op, now = plan.op, tools.time.date()
    token = ApiToken(
        uuid=op.token_id,
        user=op.user_name,
        digest=op.digest,
        role=op.role,
        created=int(now),
        expires=int(now) + op.lifetime,
        scope=plan.scope,
        comment=op.note,
    )
    return ResultWithCommit(op.token_id, changes.add_token(token, now))


def _checked(change: Change, state: ClusterState, result: object = None) -> Recorded:
    """Return the plan of a change that can be made.

    :raises Refused: it cannot.
    """
    # The check is the change itself, whose result is dropped.
    change(state)
    return Recorded(change, result)


def _scope(op: GrantRole | AddToken, state: ClusterState) -> Scope:
    """Return the scope that is asked for, with groups by UUID, so that they can be renamed."""
    wrong = [
        Problem("owners", f"{owner} is no name of a user")
        for owner in op.owners
        if re.match(USER_NAME, owner) is None
    ]
    if wrong:
        raise Invalid(wrong)
    return Scope(
        tags=_sorted(op.tags),
        groups=_sorted([state.group(name).uuid for name in op.groups]),
        owners=_sorted(op.owners),
    )


def _sorted(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


def _require_hash(stored: str | None) -> None:
    if stored is None:
        return
    if not stored.startswith(SCHEME):
        raise Invalid([Problem("password_hash", f"must begin with {SCHEME}")])
    try:
        check_of(stored)
    except Invalid as e:
        raise Invalid([Problem("password_hash", str(e))]) from None


def _require_room(there: Sized, most: int, what: str) -> None:
    if len(there) >= most:
        raise Refused(f"there are {most} {what}, which is the most", Code.RESOURCES)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddUser, plan_add_user, run_change),
    Operation(ModifyUser, plan_modify_user, run_change),
    Operation(RemoveUser, plan_remove_user, run_change),
    Operation(GrantRole, plan_grant, run_change),
    Operation(RevokeRole, plan_revoke, run_change),
    Operation(AddToken, plan_add_token, run_add_token),
    Operation(RevokeToken, plan_revoke_token, run_change),
    Operation(SetOpenId, plan_set_openid, run_change),
    Operation(RemoveOpenId, plan_remove_openid, run_change),
)
