# SPDX-License-Identifier: BSD-2-Clause
"""The log of programs that are run by cron; they do not import Twisted."""

from __future__ import annotations

import logging
import os

from ganeti.paths import Paths


def log_of(paths: Paths, name: str, *, debug: bool) -> logging.Logger:
    """Open the log file of a program; errors go to standard error, too, which cron mails."""
    os.makedirs(paths.log, mode=0o755, exist_ok=True)
    os.makedirs(paths.run, mode=0o755, exist_ok=True)
    log = logging.getLogger(f"ganeti-{name}")
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    file = logging.FileHandler(f"{paths.log}/{name}.log", encoding="utf-8")
    text = "%(asctime)s: %(name)s pid=%(process)d %(levelname)s %(message)s"
    file.setFormatter(logging.Formatter(text))
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.ERROR)
    log.handlers = [file, terminal]
    return log
