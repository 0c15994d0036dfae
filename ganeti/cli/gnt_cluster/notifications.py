# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster notify``: webhooks and mail addresses that events are sent to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, NO_HEADERS, SEPARATOR
from ganeti.cli.options import TEXT, Option

if TYPE_CHECKING:
    from ganeti.cli.gnt_cluster import notification_actions as actions
else:
    actions = LazyModule("ganeti.cli.gnt_cluster.notification_actions")

_NAME = Positional("notification_name", "notification")
_NEW_NAME = Positional("notification_name", "notification", new=True)
_SELECTION = (
    Option(("--kind",), "kinds", "Send only events of this kind.", TEXT, many=True),
    Option(("--name",), "names", "Send only events about this object.", TEXT, many=True),
    Option(("--tag",), "tags", "Send only events about objects with this tag.", TEXT, many=True),
)
_SECRET_FILE = Option(
    ("--secret-file",),
    "secret_file",
    "Read the secret from the first line of a file, or with - of standard input.",
    TEXT,
    metavar="FILE",
)
_CA_FILE = Option(
    ("--ca-file",),
    "ca_file",
    "Verify the certificate of the webhook with the CA certificates in this PEM file, which is"
    " copied, instead of those that the host trusts.",
    TEXT,
    metavar="FILE",
)
_NOTE = Option(("--note",), "note", "Free text, shown in details.", TEXT)

COMMANDS = (
    Command(
        name="notify add",
        doc="Send events to a webhook (https://…, http://…), or by mail (mailto:ADDRESS,…)."
        " Requests to a webhook are signed with a secret, which is generated and printed unless it"
        " is given.",
        words=(_NEW_NAME, Positional("url", "url")),
        options=(
            *_SELECTION,
            _SECRET_FILE,
            _CA_FILE,
            Option(("--disabled",), "enabled", "Do not send events yet.", sets=False),
            _NOTE,
        ),
        run=actions.add,
        submits=True,
    ),
    Command(
        name="notify modify",
        doc="Change a notification; what is not given stays as it is.",
        words=(_NAME,),
        options=(
            Option(("--url",), "url", "The new receiver.", TEXT, metavar="URL"),
            *_SELECTION,
            Option(("--all-events",), "all_events", "Remove the selection of events."),
            _SECRET_FILE,
            Option(("--new-secret",), "new_secret", "Generate a new secret, and print it."),
            _CA_FILE,
            Option(
                ("--host-ca",),
                "host_ca",
                "Verify the certificate of the webhook with the CA certificates that the host"
                " trusts.",
            ),
            Option(("--disable",), "enabled", "Send no events until it is enabled.", sets=False),
            Option(("--enable",), "enabled", "Send events, from where it was disabled."),
            Option(
                ("--skip-pending",),
                "skip_pending",
                "Discard the events that were not delivered yet.",
            ),
            _NOTE,
        ),
        run=actions.modify,
        submits=True,
    ),
    Command(
        name="notify remove",
        opcode="OP_NOTIFICATION_REMOVE",
        words=(_NAME,),
        confirm="Remove notification {notification_name}?",
    ),
    Command(
        name="notify list",
        doc="List the notifications with their status and lag, in commits of the journal.",
        options=(NO_HEADERS, SEPARATOR, FORM),
        run=actions.show_list,
    ),
    Command(
        name="notify info",
        aliases=("notify show",),
        doc="Show the details of notifications, without their secrets.",
        words=(Positional("names", "notification", 0, None),),
        options=(FORM,),
        run=actions.info,
    ),
    Command(
        name="notify test",
        doc="Send a test event to a receiver now, and report whether it was accepted.",
        words=(_NAME,),
        run=actions.test,
    ),
)
