# SPDX-License-Identifier: BSD-2-Clause
"""Requests about users of the remote API, their roles, and their tokens."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.model.users import Role, Subject, UserName
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import SHA256, TOKEN_ID, Line, Positive, Text

TheUser: TypeAlias = Annotated[UserName, doc("The name of the user.")]
TheRole: TypeAlias = Annotated[Role, doc("What the user may do: viewer, operator or admin.")]
Comment: TypeAlias = Annotated[Line, doc("Free text, shown in lists.")]
PasswordHash: TypeAlias = Annotated[
    Line | None,
    doc("The password as a hash, {scrypt}cost$block$parallel$salt$key.", private=True),
]
OnlyTags: TypeAlias = Annotated[tuple[Text, ...], doc("Only instances with one of these tags.")]
OnlyGroups: TypeAlias = Annotated[
    tuple[Text, ...], doc("Only instances whose primary node is in one of these node groups.")
]
OnlyOwners: TypeAlias = Annotated[
    tuple[Text, ...], doc("Only instances with the tag owner:NAME for one of these names.")
]
Digest: TypeAlias = Annotated[str, Meta(pattern=SHA256)]
TokenId: TypeAlias = Annotated[str, Meta(pattern=TOKEN_ID)]


class AddUser(Opcode, tag="OP_ACCESS_USER_ADD"):
    """Add a user of the remote API, who has no rights before a role is granted."""

    summary_field = "user_name"

    user_name: TheUser
    password_hash: PasswordHash = None
    note: Comment = ""


class ModifyUser(Opcode, tag="OP_ACCESS_USER_SET_PARAMS"):
    """Change a user of the remote API; what is not given stays as it is."""

    summary_field = "user_name"

    user_name: TheUser
    password_hash: PasswordHash = None
    remove_password: Annotated[bool, doc("Let the user sign in without a password only.")] = False
    disabled: Annotated[
        bool | None,
        doc("Refuse the user, with all tokens and sessions, until it is enabled again."),
    ] = None
    note: Annotated[Line | None, doc("Free text, shown in lists.")] = None


class RemoveUser(Opcode, tag="OP_ACCESS_USER_REMOVE"):
    """Remove a user of the remote API, with all its roles, tokens and sessions."""

    summary_field = "user_name"

    user_name: TheUser


class GrantRole(Opcode, tag="OP_ACCESS_ROLE_GRANT"):
    """Grant a role to a user or a group, for all instances or only for some; answers its id."""

    summary_field = "subject"

    subject: Annotated[
        Subject, doc("A user, or group:NAME for all users in a group of the OpenID provider.")
    ]
    role: TheRole
    tags: OnlyTags = ()
    groups: OnlyGroups = ()
    owners: OnlyOwners = ()


class RevokeRole(Opcode, tag="OP_ACCESS_ROLE_REVOKE"):
    """Take a role away that was granted."""

    summary_field = "grant_id"

    grant_id: Annotated[Text, doc("The id of the grant, as lists show it.")]


class AddToken(Opcode, tag="OP_ACCESS_TOKEN_ADD"):
    """Add an API token of a user, given by the digest of its secret."""

    summary_field = "token_id"

    token_id: Annotated[TokenId, doc("The part of the token that is no secret.")]
    digest: Annotated[Digest, doc("The SHA-256 digest of the secret, in hex.", private=True)]
    user_name: TheUser
    lifetime: Annotated[Positive, doc("How long the token is valid, in seconds.")]
    role: TheRole = Role.ADMIN
    tags: OnlyTags = ()
    groups: OnlyGroups = ()
    owners: OnlyOwners = ()
    note: Comment = ""


class RevokeToken(Opcode, tag="OP_ACCESS_TOKEN_REVOKE"):
    """Revoke an API token; it is refused from then on, also where it is in use."""

    summary_field = "token_id"

    token_id: Annotated[Text, doc("The part of the token that is no secret.")]


class SetOpenId(Opcode, tag="OP_ACCESS_OPENID_SET"):
    """Let users sign in by an OpenID provider; all of its settings are replaced."""

    summary_field = "issuer"

    issuer: Annotated[Text, doc("The provider, by the address that its tokens name: https://…")]
    client_id: Annotated[Text, doc("The name of this cluster with the provider.")]
    redirect_uri: Annotated[
        Text, doc("The address of /2/access/openid/callback, as registered with the provider.")
    ]
    client_secret: Annotated[
        Line | None, doc("The secret of this cluster with the provider.", private=True)
    ] = None
    username_claim: Annotated[Text, doc("Where tokens have the name of the user.")] = (
        "preferred_username"
    )
    groups_claim: Annotated[Text, doc("Where tokens have the groups of the user.")] = "groups"
    scopes: Annotated[tuple[Text, ...], doc("What the provider is asked for.")] = (
        "openid",
        "profile",
    )


class RemoveOpenId(Opcode, tag="OP_ACCESS_OPENID_REMOVE"):
    """Disable sign-in by an OpenID provider, and end the sessions of its users."""
