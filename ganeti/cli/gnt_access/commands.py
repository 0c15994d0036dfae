# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-access``: users of the remote API, their roles, and their tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ganeti.access.tokens import DEFAULT_LIFETIME
from ganeti.cli.command import Arguments, Command, Positional, tool
from ganeti.cli.listing import FORM, NO_HEADERS, SEPARATOR
from ganeti.cli.options import TEXT, Option, OptionType, choice, duration
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.model.users import Role

PASSWORD_FILE = "--password-file"

_USER = Positional("user_name", "user")
_ROLES = choice([role.value for role in Role])


def _password(session: Session, arguments: Arguments) -> str:
    """Return the hash of a new password, which somebody types, or which a file holds.

    :raises ExitTool: there is none.
    """
    import os

    from ganeti.access.passwords import SALT_BYTES, hashed, require_usable

    if path := arguments.get("password_file"):
        password = session.first_line(path)
    else:
        name = arguments["user_name"]
        password = session.secret(f"New password of user {name}: ", PASSWORD_FILE)
        if session.secret("Again: ", PASSWORD_FILE) != password:
            raise ExitTool(FAILURE, "the passwords differ, nothing was done")
    require_usable(password)
    return hashed(password, os.urandom(SALT_BYTES))


def add_user(session: Session, arguments: Arguments) -> int:
    """Add a user."""
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.access import AddUser

    stored = None if arguments.get("no_password") else _password(session, arguments)
    opcode = AddUser(
        user_name=arguments["user_name"], password_hash=stored, note=arguments.get("note", "")
    )
    return carry_out(session, arguments, _checked(opcode))


def modify_user(session: Session, arguments: Arguments) -> int:
    """Change a user."""
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.access import ModifyUser

    wanted = arguments.get("password") or arguments.get("password_file")
    opcode = ModifyUser(
        user_name=arguments["user_name"],
        password_hash=_password(session, arguments) if wanted else None,
        remove_password=bool(arguments.get("no_password")),
        disabled=arguments.get("disabled"),
        note=arguments.get("note"),
    )
    return carry_out(session, arguments, _checked(opcode))


def add_token(session: Session, arguments: Arguments) -> int:
    """Add a token, and print it."""
    import os

    from ganeti.access.tokens import new_token
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.access import AddToken

    token = new_token(os.urandom)
    opcode = AddToken(
        token_id=token.token_id,
        digest=token.digest,
        user_name=arguments["user_name"],
        lifetime=arguments.get("lifetime", DEFAULT_LIFETIME),
        role=arguments.get("role", Role.ADMIN.value),
        note=arguments.get("note", ""),
        **_scope(arguments),
    )

    def show(session: Session, arguments: Arguments, result: Any) -> int:
        session.tell("The token is shown only now:")
        session.say(token.text)
        return 0

    if arguments.get("submit"):
        session.say(token.text)
    return carry_out(session, arguments, _checked(opcode), ended=show)


def set_openid(session: Session, arguments: Arguments) -> int:
    """Let users sign in by an OpenID provider."""
    from ganeti.cli.declared_options import build_opcode
    from ganeti.cli.job_polling import carry_out

    path = arguments.get("secret_file")
    secret = session.first_line(path) if path else None
    return carry_out(session, arguments, build_opcode(arguments.plus({"client_secret": secret})))


def grant(session: Session, arguments: Arguments) -> int:
    """Grant a role, and print the id of the grant."""
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.access import GrantRole

    opcode = GrantRole(subject=arguments["subject"], role=arguments["role"], **_scope(arguments))

    def show(session: Session, arguments: Arguments, result: Any) -> int:
        session.say(str(result))
        return 0

    return carry_out(session, arguments, _checked(opcode), ended=show)


def _scope(arguments: Arguments) -> dict[str, Any]:
    return {
        "tags": tuple(arguments.get("tag", ())),
        "groups": tuple(arguments.get("group", ())),
        "owners": tuple(arguments.get("owner", ())),
    }


def _checked(opcode: Any) -> Any:
    """Return an opcode whose values are those that a master takes.

    :raises Invalid: with everything that is wrong.
    """
    from ganeti.opcodes.registry import read_opcode
    from ganeti.opcodes.writing import to_wire

    return read_opcode(to_wire(opcode))


def _show_list(
    what: str, columns: Mapping[str, Callable[[Any], str]], session: Session, arguments: Arguments
) -> int:
    """Show users, roles, tokens or the provider; ``columns`` has a formatter for each field."""
    from ganeti.cli.output import as_json, table
    from ganeti.luxi.methods import QueryAccess

    rows: Sequence[dict[str, Any]] = session.ask(QueryAccess(what=what))
    if arguments.get("output"):
        session.say(as_json(rows))
        return 0
    lines = table(
        [name.capitalize() for name in columns],
        [[shown(row[name]) for name, shown in columns.items()] for row in rows],
        headers=not arguments.get("no_headers"),
        separator=arguments.get("separator"),
    )
    for line in lines:
        session.say(line)
    return 0


def _words(value: Any) -> str:
    return ",".join(value) or "-"


def _text(value: Any) -> str:
    return str(value) if value else "-"


def _truth(value: Any) -> str:
    return "Y" if value else "N"


def _when(value: Any) -> str:
    from ganeti.cli.output import timestamp

    return timestamp(value) if value else "never"


_SCOPE = {"tags": _words, "groups": _words, "owners": _words}
_LIST_OPTIONS = (NO_HEADERS, SEPARATOR, FORM)
_LIMITS = (
    Option(("--tag",), "tag", "Only for instances with this tag.", TEXT, many=True),
    Option(
        ("--group",),
        "group",
        "Only for instances whose primary node is in this node group.",
        TEXT,
        many=True,
    ),
    Option(("--owner",), "owner", "Only for instances with the tag owner:NAME.", TEXT, many=True),
)
_NOTE = Option(("--note",), "note", "Free text, shown in lists.", TEXT)
_FILE = Option(
    (PASSWORD_FILE,),
    "password_file",
    "Read the password from the first line of a file, or with - of standard input.",
    TEXT,
    metavar="FILE",
)
_DURATION = OptionType("duration", "TIME", duration)

GNT_ACCESS = tool(
    "gnt-access",
    "Makes, changes and removes users of the remote API, their roles, and their tokens.",
    Command(
        name="user add",
        doc="Add a user, who has no rights before a role is granted. The password is asked for.",
        words=(_USER,),
        options=(
            _FILE,
            Option(("--no-password",), "no_password", "Let the user use tokens only."),
            _NOTE,
        ),
        run=add_user,
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
        run=modify_user,
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
        run=partial(
            _show_list,
            "users",
            {
                "name": str,
                "password": _truth,
                "disabled": _truth,
                "roles": _words,
                "created": _when,
                "comment": _text,
            },
        ),
    ),
    Command(
        name="role grant",
        doc="Grant a role to a user, or to group:NAME of the OpenID provider; print its id.",
        words=(
            Positional("subject", "user"),
            Positional("role", "role", choices=tuple(role.value for role in Role)),
        ),
        options=_LIMITS,
        run=grant,
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
        run=set_openid,
    ),
    Command(name="openid remove", opcode="OP_ACCESS_OPENID_REMOVE"),
    Command(
        name="openid list",
        doc="Show the OpenID provider by which users may sign in, if there is one.",
        options=_LIST_OPTIONS,
        run=partial(
            _show_list,
            "openid",
            {
                "issuer": str,
                "client_id": str,
                "redirect_uri": str,
                "username_claim": str,
                "groups_claim": str,
                "scopes": _words,
            },
        ),
    ),
    Command(
        name="role revoke", opcode="OP_ACCESS_ROLE_REVOKE", words=(Positional("grant_id", "id"),)
    ),
    Command(
        name="role list",
        doc="List the roles that are granted.",
        options=_LIST_OPTIONS,
        run=partial(
            _show_list,
            "roles",
            {"id": str, "subject": str, "role": str, **_SCOPE, "created": _when},
        ),
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
        run=add_token,
        submits=True,
    ),
    Command(
        name="token revoke",
        opcode="OP_ACCESS_TOKEN_REVOKE",
        words=(Positional("token_id", "id"),),
    ),
    Command(
        name="token list",
        doc="List the tokens.",
        options=_LIST_OPTIONS,
        run=partial(
            _show_list,
            "tokens",
            {
                "id": str,
                "user": str,
                "role": str,
                **_SCOPE,
                "expires": _when,
                "used": _when,
                "comment": _text,
            },
        ),
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_ACCESS)


if __name__ == "__main__":
    main()
