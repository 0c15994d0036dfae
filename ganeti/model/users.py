# SPDX-License-Identifier: BSD-2-Clause
"""Who may use the remote API, beside the users file: accounts, role grants, and API tokens."""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.schema.records import Record
from ganeti.schema.types import GRANT_SUBJECT, USER_NAME, Count, Line, Text

UserName: TypeAlias = Annotated[str, Meta(pattern=USER_NAME, min_length=1, max_length=64)]
"""The name of a user: no colon, which ends it in HTTP Basic authentication, and no spaces."""

GROUP_PREFIX = "group:"
"""Begins the subject of a grant that is for a group of the OpenID provider, not for one user."""

Subject: TypeAlias = Annotated[
    str,
    Meta(pattern=GRANT_SUBJECT, max_length=255),
]
"""A user, or ``group:NAME``."""

OWNER_TAG = "owner:"
"""Begins the tag that names the owner of an instance."""


class Role(enum.StrEnum):
    """What a user may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def includes(self, other: Role) -> bool:
        """Whether this role may do whatever ``other`` may."""
        return self.rank >= other.rank


_RANKS = {role: rank for rank, role in enumerate(Role)}


class Scope(Record):
    """The instances that a grant or a token is limited to: those that fit any of these.

    ``groups`` are UUIDs of node groups, of the primary node. An empty scope is no limit.
    """

    tags: tuple[Line, ...] = ()
    groups: tuple[Line, ...] = ()
    owners: tuple[Line, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags or self.groups or self.owners)

    @property
    def instance_tags(self) -> frozenset[str]:
        """The tags by which an instance is in the scope."""
        return frozenset(self.tags) | {OWNER_TAG + owner for owner in self.owners}


class UserAccount(Record):
    """A person or program that may sign in; ``uuid`` is the name.

    ``password`` is a hash of scrypt, in the form of the users file; without one the user has to
    sign in by a token or by OpenID Connect.
    """

    uuid: UserName
    created: Count
    password: Line | None = None
    disabled: bool = False
    comment: Line = ""

    @property
    def name(self) -> str:
        return self.uuid


class RoleGrant(Record):
    """A role of a user or of a group of the OpenID provider, perhaps limited to some instances."""

    uuid: Line
    subject: Subject
    role: Role
    created: Count
    scope: Scope = Scope()


class ApiToken(Record):
    """A token that stands for a user in programs; ``uuid`` is the part of it that is no secret.

    ``digest`` is the SHA-256 digest of the secret, in hex. A token allows what its user may do,
    no more than ``role``, and only in ``scope``. Times are in seconds since the epoch; ``used``
    may be some minutes behind.
    """

    uuid: Text
    user: UserName
    digest: Line
    role: Role
    created: Count
    expires: Count
    scope: Scope = Scope()
    used: Count = 0
    comment: Line = ""


class OpenIdProvider(Record):
    """The OpenID provider by which users may sign in; ``uuid`` is the cluster's.

    ``redirect_uri`` is the address of this cluster's /2/access/openid/callback, as it is registered
    with the provider. A user is called by ``username_claim``, and has the roles that are granted
    to the groups in ``groups_claim``.
    """

    uuid: Line
    issuer: Text
    client_id: Text
    redirect_uri: Text
    client_secret: Line = ""
    username_claim: Text = "preferred_username"
    groups_claim: Text = "groups"
    scopes: tuple[Text, ...] = ("openid", "profile")
