# SPDX-License-Identifier: BSD-2-Clause
"""Read-only access to the log as history, while another process may write it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ganeti.journal.frames import commit_of, read_header, scan
from ganeti.journal.interfaces import Commit, JournalDamaged, LogPosition, Position
from ganeti.system.interfaces import IFiles

_NAME = re.compile(r"segment-\d{16}")


def history(files: IFiles, folder: str) -> Iterator[tuple[Position, Commit]]:
    """Yield every commit in ``folder``, oldest first, with the digest chain verified.

    The last commits may not be acknowledged yet.

    :raises JournalDamaged: a segment is missing or a frame does not verify.
    """
    before: LogPosition | None = None
    for name in sorted(filter(_NAME.fullmatch, files.names(folder))):
        source = f"{folder}/{name}"
        # Read whole: a writer may append meanwhile, but does not change what is there.
        data = files.read(source)
        after, start = read_header(data, source=source)
        if before is not None and after != before:
            raise JournalDamaged(f"{source} does not follow the segment before it")
        before = after
        for frame in scan(data, after, source=source, start=start):
            before = frame.mark
            yield frame.mark.position, commit_of(data, frame)
