# SPDX-License-Identifier: BSD-2-Clause
"""Removal of old files: script logs, archived jobs, watcher state, expired keys."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from logging import Logger

from ganeti.paths import Paths

KEPT = 21 * 86400.0
"""Seconds for which logs of scripts, archived jobs and the watcher's state are kept."""

_ARCHIVED = re.compile(r"job-\d+")
_STATE_FILE = re.compile(r"watcher\.[0-9a-f-]{36}\.(data|instance-status)")
_KEY = re.compile(r"x509-[A-Za-z0-9_.-]+")


def clean(paths: Paths, now: float, log: Logger, *, node: bool = True, master: bool = True) -> int:
    """Remove old files of the node and of the master; return the number of removed files."""
    removed = 0
    if node:
        removed += _remove_old(f"{paths.log}/os", now, lambda _: True)
        removed += _remove_old(paths.data, now, _STATE_FILE.fullmatch)
        for folder in list(_find_expired_keys(paths.crypto, now, log)):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    if master:
        archive = f"{paths.queue}/archive"
        for name in _list_names(archive):
            removed += _remove_old(f"{archive}/{name}", now, _ARCHIVED.fullmatch)
            with suppress(OSError):  # the folder is not empty
                os.rmdir(f"{archive}/{name}")
    log.info("removed %d files", removed)
    return removed


def _list_names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_old(folder: str, now: float, is_meant: Callable[[str], object]) -> int:
    removed = 0
    for name in filter(is_meant, _list_names(folder)):
        path = f"{folder}/{name}"
        with suppress(FileNotFoundError):
            found = os.lstat(path)
            if now - found.st_mtime > KEPT and not os.path.isdir(path):
                os.unlink(path)
                removed += 1
    return removed


def _find_expired_keys(folder: str, now: float, log: Logger) -> Iterator[str]:
    """Yield the folders of keys whose certificate has expired."""
    for name in filter(_KEY.fullmatch, _list_names(folder)):
        # Imported here: the library takes long to load, and keys are rare.
        from cryptography.x509 import load_pem_x509_certificate

        try:
            with open(f"{folder}/{name}/cert", "rb") as file:
                until = load_pem_x509_certificate(file.read()).not_valid_after_utc.timestamp()
        except FileNotFoundError:
            # The key is being created, or its removal was interrupted.
            until = os.stat(f"{folder}/{name}").st_mtime + 86400
        except ValueError as e:
            log.error("%s/%s/cert is not a certificate: %s", folder, name, e)
            continue
        if until < now:
            yield f"{folder}/{name}"
