# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-cluster notify`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.job_polling import carry_out
from ganeti.cli.output import table, timestamp
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import require_found, show_formatted, show_values
from ganeti.luxi.methods import QueryNotifications, TestNotification
from ganeti.model.notifications import generate_secret, is_mail
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode

_FILTER = ("kinds", "names", "tags")


def add(session: Session, arguments: Arguments) -> int:
    """Add a notification, and print its secret if it was generated."""
    document = {
        "OP_ID": "OP_NOTIFICATION_ADD",
        **_given(session, arguments, ("notification_name", "url", *_FILTER, "enabled", "note")),
    }
    if "secret" in document or is_mail(arguments["url"]):
        return carry_out(session, arguments, _opcode(document))
    secret = generate_secret(os.urandom)
    return _show_secret(session, arguments, _opcode({**document, "secret": secret}), secret)


def modify(session: Session, arguments: Arguments) -> int:
    """Change a notification."""
    names = ("notification_name", "url", *_FILTER, "enabled", "skip_pending", "note")
    document = {
        "OP_ID": "OP_NOTIFICATION_SET_PARAMS",
        **(dict.fromkeys(_FILTER, ()) if arguments.get("all_events") else {}),
        **_given(session, arguments, names),
    }
    if arguments.get("host_ca"):
        document["authority"] = ""
    if not arguments.get("new_secret"):
        return carry_out(session, arguments, _opcode(document))
    secret = generate_secret(os.urandom)
    return _show_secret(session, arguments, _opcode({**document, "secret": secret}), secret)


def _show_secret(session: Session, arguments: Arguments, opcode: Opcode, secret: str) -> int:
    """Submit a job, and print the secret that it sets."""

    def show(session: Session, arguments: Arguments, result: Any) -> int:
        session.print_status("The secret for the receiver; it is shown only now:")
        session.print_line(secret)
        return 0

    # Nothing else shows it, as the result is not waited for.
    if arguments.get("submit"):
        session.print_line(secret)
    return carry_out(session, arguments, opcode, ended=show)


def _given(session: Session, arguments: Arguments, names: tuple[str, ...]) -> Document:
    """Return the fields of the opcode that were given."""
    found: Document = {name: arguments[name] for name in names if name in arguments}
    if path := arguments.get("secret_file"):
        found["secret"] = session.first_line(path)
    if path := arguments.get("ca_file"):
        found["authority"] = _read(path)
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError as e:
        raise ExitTool(FAILURE, f"cannot read {path}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise ExitTool(FAILURE, f"cannot read {path}: it is not a PEM file") from None


def _opcode(document: Mapping[str, Any]) -> Opcode:
    return read_opcode(document)


def test(session: Session, arguments: Arguments) -> int:
    """Send a test event."""
    name = arguments["notification_name"]
    session.ask(TestNotification(name=name))
    session.print_status(f"The receiver of notification {name} has accepted a test event.")
    return 0


def show_list(session: Session, arguments: Arguments) -> int:
    """Show all notifications, one on a line."""
    rows = session.ask(QueryNotifications())
    if show_formatted(session, arguments, rows):
        return 0
    lines = table(
        list(_COLUMNS),
        [[shown(row) for shown in _COLUMNS.values()] for row in rows],
        headers=not arguments.get("no_headers"),
        separator=arguments.get("separator"),
    )
    for line in lines:
        session.print_line(line)
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of notifications."""
    names = arguments.get("names", [])
    found = session.ask(QueryNotifications())
    require_found(names, found, "notification", "gnt-cluster notify")
    chosen = [row for row in found if not names or row["name"] in names]
    told = {row["name"]: _format_details(row) for row in chosen}
    return show_values(session, arguments, chosen, told)


def _format_details(row: Mapping[str, Any]) -> dict[str, Any]:
    details = {name.replace("_", " "): value for name, value in row.items() if name != "name"}
    details["created"] = timestamp(row["created"])
    details["failing since"] = timestamp(row["failing_since"])
    details["error"] = row["error"] or "-"
    details["status"] = _format_status(row)
    return details


def _format_status(row: Mapping[str, Any]) -> str:
    if not row["enabled"]:
        return "disabled"
    return "failing" if row["failing_since"] else "ok"


def _format_selection(row: Mapping[str, Any]) -> str:
    parts = [f"{name.removesuffix('s')}={value}" for name in _FILTER for value in row[name]]
    return ",".join(parts) or "all"


_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Name": lambda row: str(row["name"]),
    "Status": _format_status,
    "Lag": lambda row: str(row["lag"]),
    "Events": _format_selection,
    "Receiver": lambda row: str(row["url"]),
}
