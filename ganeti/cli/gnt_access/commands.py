# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-access``: users of the remote API, their roles, tokens and sessions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, NO_HEADERS, SEPARATOR
from ganeti.cli.options import TEXT, Option, OptionType, choice, duration
from ganeti.cli.program import run_tool
from ganeti.model.users import Role

if TYPE_CHECKING:
    from ganeti.cli.gnt_access import actions
else:
    actions = LazyModule("ganeti.cli.gnt_access.actions")

_USER = Positional("user_name", "user")
_NEW_USER = Positional("user_name", "user", new=True)
_ROLES = choice([role.value for role in Role])


_LIST_OPTIONS = (NO_HEADERS, SEPARATOR, FORM)
_LIMITS = (
    Option(("--tag",), "tag", "Only for instances with this tag.", TEXT, many=True, metavar="TAG"),
    Option(
        ("--group",),
        "group",
        "Only for instances whose primary node is in this node group.",
        TEXT,
        many=True,
        metavar="GROUP",
    ),
    Option(("--owner",), "owner", "Only for instances with the tag owner:NAME.", TEXT, many=True),
)
_NOTE = Option(("--note",), "note", "Free text, shown in lists.", TEXT)
_FILE = Option(
    ("--password-file",),
    "password_file",
    "Read the password from the first line of a file, or with - of standard input.",
    TEXT,
    metavar="FILE",
)
_DURATION = OptionType("duration", "TIME", duration)

GNT_ACCESS = tool(
    "gnt-access",
    "Makes, changes and removes users of the remote API, their roles, tokens and sessions.",
    Command(
        name="user add",
        doc="Add a user, who has no rights before a role is granted. The password is asked for.",
        words=(_NEW_USER,),
        options=(
            _FILE,
            Option(("--no-password",), "no_password", "Let the user use tokens only."),
            _NOTE,
        ),
        run=actions.add_user,
        submits=True,
    ),
    Command(
        name="user modify",
        doc="Change a user; what is not given stays as it is.",
        words=(_USER,),
        options=(
            Option(("--password",), "password", "Ask for a new password."),
            _FILE,
            Option(("--no-password",), "no_password", "Let the user use tokens only."),
            Option(("--disable",), "disabled", "Refuse the user, with all tokens and sessions."),
            Option(("--enable",), "disabled", "Let a disabled user in again.", sets=False),
            _NOTE,
        ),
        run=actions.modify_user,
        submits=True,
    ),
    Command(
        name="user remove",
        opcode="OP_ACCESS_USER_REMOVE",
        words=(_USER,),
        confirm="Remove user {user_name}, with all roles and tokens?",
    ),
    Command(
        name="user list",
        doc="List the users; those of the users file are not among them.",
        options=_LIST_OPTIONS,
        run=partial(actions.show_list, "users"),
    ),
    Command(
        name="role grant",
        doc="Grant a role to a user, or to group:NAME of the OpenID provider; print its id.",
        words=(
            Positional("subject", "user"),
            Positional("role", "role", choices=tuple(role.value for role in Role)),
        ),
        options=_LIMITS,
        run=actions.grant,
        submits=True,
    ),
    Command(
        name="openid set",
        opcode="OP_ACCESS_OPENID_SET",
        words=(Positional("issuer", "issuer"),),
        without=("client_secret",),
        options=(
            Option(
                ("--client-secret-file",),
                "secret_file",
                "Read the secret from the first line of a file, or with - of standard input.",
                TEXT,
                metavar="FILE",
            ),
        ),
        run=actions.set_openid,
    ),
    Command(name="openid remove", opcode="OP_ACCESS_OPENID_REMOVE"),
    Command(
        name="openid list",
        doc="Show the OpenID provider by which users may sign in, if there is one.",
        options=_LIST_OPTIONS,
        run=partial(actions.show_list, "openid"),
    ),
    Command(
        name="role revoke",
        opcode="OP_ACCESS_ROLE_REVOKE",
        words=(Positional("grant_id", "role-id"),),
    ),
    Command(
        name="role list",
        doc="List the roles that are granted.",
        options=_LIST_OPTIONS,
        run=partial(actions.show_list, "roles"),
    ),
    Command(
        name="session list",
        doc="List the browsers that have signed in to the web console.",
        options=_LIST_OPTIONS,
        run=partial(actions.show_list, "sessions"),
    ),
    Command(
        name="session end",
        doc="End a session, and whatever is open in it.",
        words=(Positional("session", "session-id"),),
        run=actions.end_session,
    ),
    Command(
        name="token add",
        doc="Add a token of a user, and print it: it is kept nowhere.",
        words=(_USER,),
        options=(
            Option(
                ("--role",), "role", "The highest role that it has; default: its user's.", _ROLES
            ),
            Option(("--lifetime",), "lifetime", "How long it is valid; default: 90d.", _DURATION),
            *_LIMITS,
            _NOTE,
        ),
        run=actions.add_token,
        submits=True,
    ),
    Command(
        name="token revoke",
        opcode="OP_ACCESS_TOKEN_REVOKE",
        words=(Positional("token_id", "token-id"),),
    ),
    Command(
        name="token list",
        doc="List the tokens.",
        options=_LIST_OPTIONS,
        run=partial(actions.show_list, "tokens"),
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_ACCESS)


if __name__ == "__main__":
    main()
