# SPDX-License-Identifier: BSD-2-Clause
"""The error for a disk that has lost its data."""

from __future__ import annotations

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk


def lost(disk: Disk, what: str) -> Refused:
    """Return the error for a disk that has lost ``what`` it consists of, with the possible
    repairs."""
    return Refused(
        f"{disk.iv_name or 'the disk'} has lost its {what}; if a job that renamed the instance was"
        " interrupted, rename it again, to any name; otherwise recreate the disk without data by"
        " gnt-instance recreate-disks, or restore a DRBD disk from its other copy by gnt-instance"
        " replace-disks",
        Code.UNKNOWN,
    )
