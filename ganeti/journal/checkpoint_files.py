# SPDX-License-Identifier: BSD-2-Clause
"""Replacement of the files of a checkpoint by those of another one."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from ganeti.journal.interfaces import LogPosition
from ganeti.journal.marker import complete
from ganeti.system.interfaces import IFiles

QUEUE = "queue"
"""The folder that belongs to the checkpoint entirely: files that a new one lacks are stale."""

MARKER = "journal/checkpoint"
"""The marker, which is written last."""


FILES_AT_ONCE = 64
"""How many files are replaced between two checks."""


async def replace_checkpoint_files(
    files: IFiles,
    data: str,
    contents: Mapping[str, bytes],
    end: LogPosition,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Replace the checkpoint below ``data`` by ``contents``, by path; they contain ``end``.

    ``check`` is called now and then, and may raise an error to end this early.

    :raises OSError: the files could not be written; the checkpoint is not usable.
    """
    paths = {f"{data}/{name}": content for name, content in contents.items() if name != MARKER}
    for folder in dict.fromkeys(map(posixpath.dirname, (*paths, f"{data}/{MARKER}"))):
        await files.make_folder(folder)
    # Contents before the removals, and the marker last: until then, the old marker says that the
    # files are not complete.
    names = list(paths)
    for start in range(0, len(names), FILES_AT_ONCE):
        check()
        some = names[start : start + FILES_AT_ONCE]
        await files.replace_all({path: paths[path] for path in some})
    check()
    await _remove_stale_jobs(files, f"{data}/{QUEUE}", paths)
    await files.replace(f"{data}/{MARKER}", complete(end))


async def _remove_stale_jobs(files: IFiles, folder: str, contents: Mapping[str, bytes]) -> None:
    for name in files.names(folder):
        path = f"{folder}/{name}"
        # Subfolders of the queue, such as its archive, are not part of a checkpoint.
        found = files.stat(path)
        if path not in contents and found is not None and not found.folder:
            await files.remove(path)
