# SPDX-License-Identifier: BSD-2-Clause
"""The options of ``gnt-cluster history`` that ask the master."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.options import FLOAT, TEXT, Option

AUDIT = (
    Option(("--user",), "user", "Only what this user did, or was denied; local for tools.", TEXT),
    Option(("--name",), "name", "Only what is about the object of this name or UUID.", TEXT),
    Option(("--since",), "since", "Only since this time, in seconds since the epoch.", FLOAT),
    Option(("--until",), "until", "Only until this time, in seconds since the epoch.", FLOAT),
    Option(("--denied",), "denied", "Only what was denied."),
)


def is_wanted(arguments: Arguments) -> bool:
    """Return whether the master has to be asked: its files do not identify users."""
    return any(option.name in arguments for option in AUDIT)
