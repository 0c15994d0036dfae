# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-access`` commands that do more than submit one opcode."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from ganeti.access.passwords import SALT_BYTES, hashed, require_usable
from ganeti.access.tokens import DEFAULT_LIFETIME, new_token
from ganeti.cli.command import Arguments, Document
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.job_polling import carry_out
from ganeti.cli.output import Show, table, timestamp
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import EndSession, QueryAccess
from ganeti.model.users import Role
from ganeti.opcodes.access import AddToken, AddUser, GrantRole, ModifyUser
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.opcodes.writing import to_wire

_PASSWORD_FILE = "--password-file"
"""The option to use without a terminal."""


def _password(session: Session, arguments: Arguments) -> str:
    """Return the hash of a new password, which is typed at the terminal or read from a file.

    :raises ExitTool: there is none.
    """
    if path := arguments.get("password_file"):
        password = session.first_line(path)
    else:
        name = arguments["user_name"]
        password = session.secret(f"New password of user {name}: ", _PASSWORD_FILE)
        if session.secret("Again: ", _PASSWORD_FILE) != password:
            raise ExitTool(FAILURE, "the passwords differ, nothing was done")
    require_usable(password)
    return hashed(password, os.urandom(SALT_BYTES))


def add_user(session: Session, arguments: Arguments) -> int:
    """Add a user."""
    stored = None if arguments.get("no_password") else _password(session, arguments)
    opcode = AddUser(
        user_name=arguments["user_name"], password_hash=stored, note=arguments.get("note", "")
    )
    return carry_out(session, arguments, _checked(opcode))


def modify_user(session: Session, arguments: Arguments) -> int:
    """Change a user."""
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

    def show(session: Session, arguments: Arguments, result: object) -> int:
        session.print_status("The token is shown only now:")
        session.print_line(token.text)
        return 0

    # Nothing else shows it, as the result is not waited for.
    if arguments.get("submit"):
        session.print_line(token.text)
    return carry_out(session, arguments, _checked(opcode), ended=show)


def set_openid(session: Session, arguments: Arguments) -> int:
    """Let users sign in by an OpenID provider."""
    path = arguments.get("secret_file")
    secret = session.first_line(path) if path else None
    return carry_out(session, arguments, build_opcode(arguments.plus({"client_secret": secret})))


def grant(session: Session, arguments: Arguments) -> int:
    """Grant a role, and print the id of the grant."""
    opcode = GrantRole(subject=arguments["subject"], role=arguments["role"], **_scope(arguments))

    def show(session: Session, arguments: Arguments, result: object) -> int:
        session.print_line(str(result))
        return 0

    return carry_out(session, arguments, _checked(opcode), ended=show)


def end_session(session: Session, arguments: Arguments) -> int:
    """End the session of a browser."""
    session.ask(EndSession(session=arguments["session"]))
    return 0


def _scope(arguments: Arguments) -> Document:
    return {
        "tags": tuple(arguments.get("tag", ())),
        "groups": tuple(arguments.get("group", ())),
        "owners": tuple(arguments.get("owner", ())),
    }


def _checked(opcode: Opcode) -> Opcode:
    """Return an opcode whose values are those that a master takes.

    :raises Invalid: with everything that is wrong.
    """
    return read_opcode(to_wire(opcode))


def show_list(what: str, session: Session, arguments: Arguments) -> int:
    """Show users, roles, tokens, sessions, or the OpenID provider."""
    columns = _COLUMNS[what]
    rows: Sequence[dict[str, object]] = session.ask(QueryAccess(what=what))
    if show_formatted(session, arguments, rows):
        return 0
    lines = table(
        [name.capitalize() for name in columns],
        [[shown(row[name]) for name, shown in columns.items()] for row in rows],
        headers=not arguments.get("no_headers"),
        separator=arguments.get("separator"),
    )
    for line in lines:
        session.print_line(line)
    return 0


def _words(value: Iterable[str]) -> str:
    return ",".join(value) or "-"


def _text(value: object) -> str:
    return str(value) if value else "-"


def _truth(value: object) -> str:
    return "Y" if value else "N"


def _when(value: float | None) -> str:
    return timestamp(value) if value else "never"


_SCOPE = {"tags": _words, "groups": _words, "owners": _words}

_COLUMNS: Mapping[str, Mapping[str, Show]] = {
    "users": {
        "name": str,
        "password": _truth,
        "disabled": _truth,
        "roles": _words,
        "created": _when,
        "comment": _text,
    },
    "roles": {"id": str, "subject": str, "role": str, **_SCOPE, "created": _when},
    "sessions": {
        "id": str,
        "user": str,
        "source": _text,
        "created": _when,
        "used": _when,
        "expires": _when,
    },
    "tokens": {
        "id": str,
        "user": str,
        "role": str,
        **_SCOPE,
        "expires": _when,
        "used": _when,
        "comment": _text,
    },
    "openid": {
        "issuer": str,
        "client_id": str,
        "redirect_uri": str,
        "username_claim": str,
        "groups_claim": str,
        "scopes": _words,
    },
}
"""The fields that each list shows, and how."""
