# SPDX-License-Identifier: BSD-2-Clause
"""Removing what nobody needs any more: old logs, jobs and notes, keys that have expired."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from logging import Logger

from ganeti.paths import Paths

KEPT = 21 * 86400.0
"""Seconds for which logs of scripts, archived jobs and the watcher's notes are kept."""

_ARCHIVED = re.compile(r"job-\d+")
_NOTES = re.compile(r"watcher\.[0-9a-f-]{36}\.(data|instance-status)")
_KEY = re.compile(r"x509-[A-Za-z0-9_.-]+")


def clean(paths: Paths, now: float, log: Logger, *, node: bool = True, master: bool = True) -> int:
    """Tidy up what belongs to a node, and what belongs to the master; answers how many went."""
    gone = 0
    if node:
        gone += _remove_old(f"{paths.log}/os", now, lambda _: True)
        gone += _remove_old(paths.data, now, _NOTES.fullmatch)
        for folder in list(_expired(paths.crypto, now, log)):
            shutil.rmtree(folder, ignore_errors=True)
            gone += 1
    if master:
        archive = f"{paths.queue}/archive"
        for name in _names(archive):
            gone += _remove_old(f"{archive}/{name}", now, _ARCHIVED.fullmatch)
            with suppress(OSError):  # there is still something in it
                os.rmdir(f"{archive}/{name}")
    log.info("%d files were removed", gone)
    return gone


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_old(folder: str, now: float, is_meant: Callable[[str], object]) -> int:
    gone = 0
    for name in filter(is_meant, _names(folder)):
        path = f"{folder}/{name}"
        with suppress(FileNotFoundError):
            found = os.lstat(path)
            if now - found.st_mtime > KEPT and not os.path.isdir(path):
                os.unlink(path)
                gone += 1
    return gone


def _expired(folder: str, now: float, log: Logger) -> Iterator[str]:
    """The folders of keys whose certificate has expired."""
    for name in filter(_KEY.fullmatch, _names(folder)):
        # Here and not above: the library takes its time to load, and there are seldom any.
        from cryptography.x509 import load_pem_x509_certificate

        try:
            with open(f"{folder}/{name}/cert", "rb") as file:
                until = load_pem_x509_certificate(file.read()).not_valid_after_utc.timestamp()
        except FileNotFoundError:
            # It is being made, or the rest of one that was removed in the middle.
            until = os.stat(f"{folder}/{name}").st_mtime + 86400
        except ValueError as e:
            log.error("%s/%s/cert is no certificate: %s", folder, name, e)
            continue
        if until < now:
            yield f"{folder}/{name}"
