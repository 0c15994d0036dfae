# SPDX-License-Identifier: BSD-2-Clause
"""What is said of a disk that should be there and is not."""

from __future__ import annotations

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk


def lost(disk: Disk, what: str) -> Refused:
    """The refusal to use a disk that has lost ``what`` it consists of; it says the ways out."""
    return Refused(
        f"{disk.iv_name or 'the disk'} has lost its {what}; if a job that renamed the instance was "
        "interrupted, rename it again in the same way; else gnt-instance recreate-disks creates an "
        "empty one, and gnt-instance replace-disks fills a mirrored one from its other copy",
        Code.UNKNOWN,
    )
