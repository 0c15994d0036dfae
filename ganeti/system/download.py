# SPDX-License-Identifier: BSD-2-Clause
"""Download of a file that may be large, as a program of its own.

It prints the reason of a failure as one line. An interrupted download is continued where it was,
also by a later run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage

CHUNK = 1 << 20
TRIES, TIMEOUT = 4, 60.0
MAX_SMALL = 1 << 20
"""Maximum size in bytes of a file that is downloaded with ``--small``: a signature, or digests."""


class DownloadFailed(Exception):
    """A download that trying again does not complete; the message says why."""


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https://",) if req.full_url.startswith("https://") else ("https://", "http://")
        if not newurl.startswith(allowed):
            raise DownloadFailed(f"it is redirected to {newurl}, which is not as secure")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # passed on


def download(url: str, path: str, *, most: int | None = None, announce: int | None = None) -> None:
    """Write the file at ``url`` to ``path``, which may have the start of it.

    ``most`` is the maximum size in bytes. The size is announced at the descriptor ``announce``.
    Another download to the same file, whose node daemon may have been killed, is waited for.

    :raises DownloadFailed: it is not possible now.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb", buffering=0) as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        try:
            _download(url, path, most, announce)
        finally:
            if not os.fstat(lock.fileno()).st_size:
                os.unlink(path)


def _download(url: str, path: str, most: int | None, announce: int | None) -> None:
    for left in reversed(range(TRIES)):
        try:
            _fetch(url, path, most, announce)
        except urllib.error.HTTPError as e:
            raise DownloadFailed(f"the server answers {e.code} {e.reason}; check the URL") from None
        except (OSError, HTTPException) as e:
            if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT):
                # What was downloaded is in the way of others, who need the space as well.
                os.truncate(path, 0)
                raise DownloadFailed(_full(path)) from None
            if not left or not os.path.getsize(path):
                reason = getattr(e, "reason", e)
                raise DownloadFailed(
                    f"{reason}; check the URL, and that this node reaches the host"
                ) from None
        else:
            return


def _fetch(url: str, path: str, most: int | None, announce: int | None) -> None:
    done = os.path.getsize(path)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    opener = urllib.request.build_opener(_OnlyHttp())
    try:
        answer = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if e.code != 416:  # Range Not Satisfiable: it is complete, or shorter now
            raise
        return
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    flags |= os.O_APPEND if answer.status == 206 else os.O_TRUNC
    with answer, open(os.open(path, flags), "wb", buffering=0) as file:
        length = answer.headers.get("Content-Length")
        start = os.fstat(file.fileno()).st_size
        if length is not None:
            _check_room(path, int(length), start + int(length), most)
            if announce is not None:
                os.write(announce, b"%d\n" % (start + int(length)))
        got = 0
        while data := answer.read(CHUNK):
            got += len(data)
            if most is not None and start + got > most:
                raise DownloadFailed(f"it is longer than {most} bytes")
            with memoryview(data) as view:
                written = 0
                while written < len(data):
                    written += file.write(view[written:])
        if length is not None and got != int(length):
            raise OSError(f"{got} bytes have arrived, not {length}")
        os.fsync(file.fileno())


def _check_room(path: str, coming: int, total: int, most: int | None) -> None:
    if most is not None and total > most:
        raise DownloadFailed(f"it is longer than {most} bytes")
    room = os.statvfs(os.path.dirname(path))
    if coming > room.f_bavail * room.f_frsize:
        raise DownloadFailed(f"{_full(path)}: {coming} more bytes are needed")


def _full(path: str) -> str:
    return f"the file system of {os.path.dirname(path)} is full; free space there"


def main(arguments: Sequence[str]) -> int:
    """Download a file; ``--small`` refuses a large one, and descriptor 3 gets the size."""
    url, path, *options = arguments
    small = "--small" in options
    try:
        download(url, path, most=MAX_SMALL if small else None, announce=None if small else 3)
    except DownloadFailed as e:
        print(e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
