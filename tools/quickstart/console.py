# SPDX-License-Identifier: BSD-2-Clause
"""The web console: its libraries come from npm, in the background: nobody waits for them."""

from __future__ import annotations

import os
import subprocess

from ganeti.rapi.console.console_files import ConsoleFiles
from tools.quickstart.place import TREE

FOLDER = TREE / "ui"

# What npm and apt need; they run on when the cluster is gone, and are no part of it.
_KEPT = ("HOME", "LANG", "PATH", "http_proxy", "https_proxy", "no_proxy")


def libraries_complete() -> bool:
    """Return whether the console has its libraries."""
    return ConsoleFiles(str(FOLDER)).complete


def fetch_libraries() -> None:
    """Start to fetch the console's libraries, unless they are there."""
    if libraries_complete():
        return
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.lower().startswith("npm_config_")
    }
    subprocess.Popen(
        [str(FOLDER / "fetch-libraries")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=FOLDER,
        env=environment,
        start_new_session=True,
    )
