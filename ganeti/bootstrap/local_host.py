# SPDX-License-Identifier: BSD-2-Clause
"""What the checks before the creation or the take-over of a cluster ask of this host."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence

from ganeti.bootstrap.free_space import Space, read_space
from ganeti.bootstrap.take_over.ganeti_daemons import find_daemon
from ganeti.storage.lvm.reports import GROUPS, parse_volume_groups

_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LocalHost:
    """This host; implements ``IHost`` of ``preflight`` and of ``take_over.examination``."""

    def bind(self, address: str, port: int) -> int:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            # As daemons do; otherwise connections that ended just now would count.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address, port))
            except OSError as e:
                return e.errno or errno.EIO
        return 0

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def program(self, name: str) -> bool:
        return shutil.which(name, path=_FOLDERS) is not None

    def read(self, path: str) -> str | None:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def daemon(self, pid_file: str) -> int | None:
        return find_daemon(pid_file)

    def devices(self) -> Sequence[str]:
        return [name for _, name in socket.if_nameindex()]

    def volume_groups(self) -> Sequence[str] | None:
        try:
            done = subprocess.run(GROUPS, capture_output=True, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            return None
        if done.returncode != 0:
            return []
        return [group.name for group in parse_volume_groups(done.stdout)]

    def space(self, folder: str) -> Space:
        return read_space(folder)

    def now(self) -> float:
        return time.time()
