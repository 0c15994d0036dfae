# SPDX-License-Identifier: BSD-2-Clause
"""The log as history, for those who only read: its writer may be at work meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ganeti.journal.frames import commit_of, read_header, scan
from ganeti.journal.interfaces import Commit, JournalDamaged, LogPosition, Position
from ganeti.system.interfaces import IFiles

_NAME = re.compile(r"segment-\d{16}")


def history(files: IFiles, folder: str) -> Iterator[tuple[Position, Commit]]:
    """Every commit that is kept in ``folder``, oldest first, its chain verified.

    The last ones may not be acknowledged yet.

    :raises Damaged: something is missing, or does not verify.
    """
    before: LogPosition | None = None
    for name in sorted(filter(_NAME.fullmatch, files.names(folder))):
        source = f"{folder}/{name}"
        data = files.read(source)
        after, start = read_header(data, source=source)
        if before is not None and after != before:
            raise JournalDamaged(f"{source} does not follow the segment before it")
        before = after
        for frame in scan(data, after, source=source, start=start):
            before = frame.mark
            yield frame.mark.position, commit_of(data, frame)
