# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-backup`` commands that do more than submit one opcode."""

from __future__ import annotations

from ganeti.cli.command import Arguments, Document
from ganeti.cli.gnt_instance.fields import creation


def imported(arguments: Arguments) -> Document:
    """Return the fields of a request that creates an instance from an export."""
    return {**creation(arguments, from_export=True), "mode": "import", "no_install": None}
