# SPDX-License-Identifier: BSD-2-Clause
"""The commands of ``gnt-backup`` about backups in repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import FORCE, Command, Positional
from ganeti.cli.gnt_instance.commands import CREATION, CREATION_EXCLUDED, INSTANCE, NEW_INSTANCE
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, NO_HEADERS, SEPARATOR
from ganeti.cli.options import COUNT, LIST, TEXT, Option

if TYPE_CHECKING:
    from ganeti.cli.gnt_backup import repository_actions as actions
else:
    actions = LazyModule("ganeti.cli.gnt_backup.repository_actions")

_NAME = Positional("repository_name", "repository")
_NEW_NAME = Positional("repository_name", "repository", new=True)
_BACKUP = Positional("backup", "repository/id")
_KEY_FILE = Option(
    ("--key-file",),
    "key_file",
    "The key of an existing repository: read it from the first line of a file, or with - of"
    " standard input.",
    TEXT,
    metavar="FILE",
)
_CREDENTIALS_FILE = Option(
    ("--credentials-file",),
    "credentials_file",
    "The access key for an S3-compatible store: read it from a file with aws_access_key_id and"
    " aws_secret_access_key in its section default, or its only one.",
    TEXT,
    metavar="FILE",
)
_LISTS = (NO_HEADERS, SEPARATOR, FORM)

_REPOSITORIES = (
    Command(
        name="repository add",
        opcode="OP_BACKUP_REPOSITORY_ADD",
        words=(_NEW_NAME,),
        flags=(
            Option(("-n", "--node"), "node_name", "", TEXT, metavar="NODE"),
            Option(("--path",), "path", "", TEXT, metavar="DIR"),
        ),
        without=("key", "access_key", "secret_key"),
        options=(_KEY_FILE, _CREDENTIALS_FILE),
        given=actions.read_secrets,
    ),
    Command(
        name="repository remove",
        opcode="OP_BACKUP_REPOSITORY_REMOVE",
        words=(_NAME,),
        options=(FORCE,),
        confirm="Remove repository {repository_name} from the cluster? Its directory stays.",
    ),
    Command(
        name="repository list",
        doc="List the repositories of backups with their space.",
        options=_LISTS,
        run=actions.list_repositories,
    ),
    Command(
        name="repository show-key",
        doc="Print the key of an encrypted repository, to be kept outside of the cluster.",
        words=(_NAME,),
        run=actions.show_key,
    ),
)

_BACKUPS = (
    Command(
        name="create",
        opcode="OP_BACKUP_CREATE",
        words=(*INSTANCE, _NAME),
        without=("schedule",),
        ended=actions.show_created,
    ),
    Command(
        name="list-backups",
        doc="List backups in repositories, with what was read and stored for them.",
        words=(Positional("repository", "repository", 0, 1),),
        options=(
            Option(
                ("-i", "--instance"),
                "instance",
                "List only backups of this instance.",
                TEXT,
                metavar="INSTANCE",
            ),
            *_LISTS,
        ),
        run=actions.list_backups,
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show the details of a backup.",
        words=(_BACKUP,),
        options=(FORM,),
        run=actions.info,
    ),
    Command(
        name="restore",
        opcode="OP_INSTANCE_CREATE",
        doc="Create an instance from a backup, as it was unless options say otherwise.",
        words=(_BACKUP, *NEW_INSTANCE),
        options=CREATION,
        without=(
            *CREATION_EXCLUDED,
            *("no_install", "start", "force_variant", "os_type", "compress"),
            *("src_node", "src_path", "src_backup"),
        ),
        preset={"start": False},
        given=actions.restored,
    ),
    Command(
        name="restore-disks",
        opcode="OP_BACKUP_RESTORE",
        words=(_BACKUP, *INSTANCE),
        flags=(Option(("--disks",), "disks", "", LIST, metavar="N,…"),),
        without=("repository_name", "backup_id"),
        options=(FORCE,),
        given=actions.restored_disks,
        confirm="Replace data on disks of instance {instance_name} by those of {backup}?",
    ),
)

_UPKEEP = (
    Command(
        name="verify",
        opcode="OP_BACKUP_VERIFY",
        words=(_NAME, Positional("backups", "backup-id", 0, None, owner="repository_name")),
        ended=actions.show_verified,
    ),
    Command(
        name="remove-backup",
        opcode="OP_BACKUP_DELETE",
        words=(_NAME, Positional("backups", "backup-id", 1, None, owner="repository_name")),
        options=(FORCE,),
        confirm="Remove these backups from repository {repository_name}?",
    ),
    Command(
        name="prune",
        opcode="OP_BACKUP_PRUNE",
        words=(_NAME,),
        flags=(Option(("-i", "--instance"), "instances", "", TEXT, many=True, metavar="INSTANCE"),),
        options=(FORCE,),
        confirm="Remove the backups from repository {repository_name} that no rule keeps?",
    ),
)

_SCHEDULE = Positional("schedule_name", "schedule")
_NEW_SCHEDULE = Positional("schedule_name", "schedule", new=True)
_SCHEDULES = (
    Command(
        name="schedule add",
        opcode="OP_BACKUP_SCHEDULE_ADD",
        words=(_NEW_SCHEDULE, _NAME),
        flags=(
            Option(("-i", "--instance"), "instances", "", TEXT, many=True, metavar="INSTANCE"),
            Option(("--tag",), "tags", "", TEXT, many=True, metavar="TAG"),
        ),
        without=("at", "interval"),
        options=(
            Option(
                ("--every",),
                "every",
                "Hours between two backups, a divisor of 24 or a multiple of it; default: 24.",
                COUNT,
                metavar="HOURS",
            ),
            Option(
                ("--at",),
                "time",
                "The time of a backup, in UTC; default: 00:00.",
                TEXT,
                metavar="HH:MM",
            ),
        ),
        given=actions.read_times,
    ),
    Command(
        name="schedule remove",
        opcode="OP_BACKUP_SCHEDULE_REMOVE",
        words=(_SCHEDULE,),
        options=(FORCE,),
        confirm="Remove backup schedule {schedule_name}? Its backups stay.",
    ),
    Command(
        name="schedule list",
        doc="List the schedules of backups: when they are due, and what they keep.",
        options=_LISTS,
        run=actions.list_schedules,
    ),
)

COMMANDS = (*_REPOSITORIES, *_BACKUPS, *_UPKEEP, *_SCHEDULES)
