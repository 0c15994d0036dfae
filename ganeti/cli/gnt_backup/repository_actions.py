# SPDX-License-Identifier: BSD-2-Clause
"""What the commands of ``gnt-backup`` about backups in repositories do."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ganeti.cli.command import Arguments, Document, OpcodeResult
from ganeti.cli.gnt_instance.fields import creation
from ganeti.cli.options import natural
from ganeti.cli.output import table, timestamp
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_formatted, show_values
from ganeti.luxi.methods import (
    QueryBackupRepositories,
    QueryBackups,
    QueryBackupSchedules,
    QueryRepositoryKey,
)

_MIB = 1 << 20
Row = Mapping[str, Any]


def read_secrets(arguments: Arguments) -> Document:
    """Return what is read from files: the key of a repository, and credentials of a store."""
    return {**_read_key(arguments), **_read_credentials(arguments)}


def _read_credentials(arguments: Arguments) -> Document:
    """Return the access key in a file as the tools of Amazon have it, if one is given."""
    path = arguments.get("credentials_file")
    if path is None:
        return {}
    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        name = "default" if parser.has_section("default") else "".join(parser.sections())
        return {
            "access_key": parser[name]["aws_access_key_id"],
            "secret_key": parser[name]["aws_secret_access_key"],
        }
    except OSError as e:
        raise ExitTool(FAILURE, f"cannot read {path}: {e.strerror}") from None
    except (configparser.Error, UnicodeDecodeError, KeyError):
        # Without the reason, which may have a line of the file.
        raise ExitTool(
            FAILURE,
            f"{path} must have a section [default] with aws_access_key_id = … and"
            " aws_secret_access_key = …",
        ) from None


def _read_key(arguments: Arguments) -> Document:
    """Return the key of an existing repository, if a file with it is given."""
    path = arguments.get("key_file")
    if path is None:
        return {}
    try:
        with open(0 if path == "-" else path, encoding="ascii", closefd=path != "-") as file:
            return {"key": file.readline().strip()}
    except OSError as e:
        raise ExitTool(FAILURE, f"cannot read {path}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise ExitTool(FAILURE, f"cannot read {path}: it is not a key") from None


def list_repositories(session: Session, arguments: Arguments) -> int:
    """Show all repositories, one on a line."""
    rows = session.ask(QueryBackupRepositories())
    return _show_table(session, arguments, rows, _REPOSITORY_COLUMNS)


def show_key(session: Session, arguments: Arguments) -> int:
    """Print the key of a repository."""
    key = session.ask(QueryRepositoryKey(repository=arguments["repository_name"]))
    if not key:
        raise ExitTool(FAILURE, "this repository is not encrypted and has no key")
    session.print_line(key)
    return 0


def show_created(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Print the ID of a new backup, as other commands expect it."""
    session.print_line(f"{arguments['repository_name']}/{result}")
    return 0


def list_backups(session: Session, arguments: Arguments) -> int:
    """Show backups, one on a line."""
    names = arguments.get("repository", [])
    repository = names[0] if isinstance(names, list | tuple) and names else names or None
    rows = session.ask(QueryBackups(repository=repository, instance=arguments.get("instance")))
    return _show_table(session, arguments, rows, _BACKUP_COLUMNS)


def _show_table(
    session: Session,
    arguments: Arguments,
    rows: Sequence[Row],
    columns: Mapping[str, Callable[[Row], str]],
) -> int:
    if show_formatted(session, arguments, rows):
        return 0
    lines = table(
        list(columns),
        [[shown(row) for shown in columns.values()] for row in rows],
        headers=not arguments.get("no_headers"),
        separator=arguments.get("separator"),
    )
    for line in lines:
        session.print_line(line)
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of a backup."""
    repository, backup = _split(arguments["backup"])
    rows = session.ask(QueryBackups(repository=repository))
    found = [each for each in rows if each["id"] == backup]
    if not found:
        raise ExitTool(
            FAILURE, f"repository {repository} has no backup {backup}; see gnt-backup list-backups"
        )
    [row] = found
    told = {name.replace("_", " "): value for name, value in row.items() if name != "disks"}
    told["created"] = timestamp(row["created"])
    told["check"] = _format_check(row.get("check"))
    told["disks"] = [
        {
            "name": disk["name"],
            "size": _mib(disk["size"]),
            "read": _mib(disk["read"]),
            "stored": _mib(disk["written"]),
            "incremental": disk["incremental"],
        }
        for disk in row["disks"]
    ]
    return show_values(session, arguments, row, {f"{repository}/{backup}": told})


def _format_check(check: Row | None) -> str:
    """Return what the last verification by restoring has found."""
    if check is None:
        return "never restored (gnt-backup verify --restore)"
    return f"{timestamp(check['at'])}: {check['problem'] or 'restored without an error'}"


def restored(arguments: Arguments) -> Document:
    """Return the fields of a request that creates an instance from a backup."""
    _split(arguments["backup"])
    return {
        **creation(arguments, from_export=True),
        "mode": "import",
        "no_install": None,
        "src_backup": arguments["backup"],
    }


def restored_disks(arguments: Arguments) -> Document:
    """Return which disks to restore, and from which backup."""
    repository, backup = _split(arguments["backup"])
    try:
        disks = [natural(each) for each in arguments.get("disks", [])]
    except ValueError:
        raise ExitTool(FAILURE, "--disks: must be numbers of disks, such as 0,2") from None
    return {"repository_name": repository, "backup_id": backup, "disks": disks}


def show_verified(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Say how many backups were read without an error."""
    what = "were restored as they were backed up" if arguments.get("restore") else ""
    session.print_line(f"{result} backups {what or 'are complete and undamaged'}")
    return 0


def read_times(arguments: Arguments) -> Document:
    """Return when backups are due."""
    found: Document = {}
    if (every := arguments.get("every")) is not None:
        found["interval"] = every
    if (text := arguments.get("time")) is not None:
        hours, _, minutes = text.partition(":")
        try:
            at = natural(hours) * 60 + natural(minutes)
        except ValueError:
            at = -1
        if not 0 <= at < 24 * 60 or len(minutes) != 2 or natural(minutes) > 59:
            raise ExitTool(FAILURE, f"--at {text}: must be a time as HH:MM, in UTC")
        found["at"] = at
    return found


def list_schedules(session: Session, arguments: Arguments) -> int:
    """Show all schedules, one on a line."""
    rows = session.ask(QueryBackupSchedules())
    return _show_table(session, arguments, rows, _SCHEDULE_COLUMNS)


def _format_selection(row: Row) -> str:
    parts = [*row["instances"], *(f"tag:{each}" for each in row["tags"])]
    return ",".join(parts) or "all"


def _format_rules(row: Row) -> str:
    rules = ("last", "daily", "weekly", "monthly")
    parts = [f"{name}:{row[f'keep_{name}']}" for name in rules if row[f"keep_{name}"]]
    return ",".join(parts) or "all"


def _split(name: str) -> tuple[str, str]:
    repository, found, backup = name.partition("/")
    if not found or not repository or not backup:
        raise ExitTool(
            FAILURE, f"{name} is not REPOSITORY/ID of a backup; see gnt-backup list-backups"
        )
    return repository, backup


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / _MIB:.1f}M"


def _sum(row: Row, name: str) -> int:
    return sum(disk[name] for disk in row["disks"])


def _format_guest(row: Row) -> str:
    if row["problem"]:
        return "-"
    if not row["running"]:
        return "stopped"
    return "frozen" if row["frozen"] else "running"


def _kind(row: Row) -> str:
    if row["problem"]:
        return "damaged" if row["id"] else "unreadable"
    return "incremental" if any(disk["incremental"] for disk in row["disks"]) else "full"


_REPOSITORY_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "Name": lambda row: str(row["name"]),
    "Node": lambda row: str(row["node"] or "-"),
    "Path": lambda row: str(row["path"]),
    "Encrypted": lambda row: "yes" if row["encrypted"] else "no",
    "Backups": lambda row: "-" if row["backups"] is None else str(row["backups"]),
    "Size": lambda row: _mib(row["size"]),
    "Free": lambda row: _mib(row["free"]),
    "Status": lambda row: str(row["problem"] or "ok"),
}
_BACKUP_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "Backup": lambda row: f"{row['repository']}/{row['id']}",
    "Instance": lambda row: str(row["instance"]),
    "Created": lambda row: timestamp(row["created"] or None),
    "Kind": _kind,
    "Guest": _format_guest,
    "Size": lambda row: _mib(_sum(row, "size")),
    "Read": lambda row: _mib(_sum(row, "read")),
    "Stored": lambda row: _mib(_sum(row, "written")),
}
_SCHEDULE_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "Name": lambda row: str(row["name"]),
    "Repository": lambda row: str(row["repository"]),
    "Instances": _format_selection,
    "Every": lambda row: f"{row['interval']}h",
    "Last": lambda row: timestamp(row["last"] or None),
    "Next": lambda row: timestamp(row["next"]),
    "Keep": _format_rules,
    "Verify": lambda row: f"{row['verify_days']}d" if row["verify_days"] else "-",
    "Failed": lambda row: str(row["failed"]),
}
