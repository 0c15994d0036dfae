# SPDX-License-Identifier: BSD-2-Clause
"""Commands and files that a cluster administrator sends to all nodes.

The administrator of a node forbids both with the file ``no-cluster-commands`` in the configuration
folder.
"""

from __future__ import annotations

import base64
import binascii
import posixpath

from twisted.logger import Logger

from ganeti.errors import Invalid, Problem, Refused
from ganeti.paths import Paths
from ganeti.rpc.node import CommandResult, CopyFile, RunCommand
from ganeti.system.interfaces import IFiles, IProcesses

SHELL = ("/bin/sh", "-c", 'exec 2>&1; eval "$1"', "sh")
"""Runs a command line with both output streams in one, which preserves their order."""

OUTPUT_LIMIT = 128 * 1024
"""Maximum number of bytes of output in the answer; the end of the output is kept."""


class ClusterCommands:
    """Handles the calls of ``gnt-cluster command`` and ``gnt-cluster copyfile``."""

    _log = Logger()

    def __init__(self, files: IFiles, processes: IProcesses, paths: Paths) -> None:
        self._files = files
        self._processes = processes
        self._paths = paths

    async def run(self, call: RunCommand) -> CommandResult:
        """Run a command line as root.

        :raises Refused: the administrator of this node forbids it.
        """
        self._check_allowed()
        self._log.info("running command {command!r} for the master", command=call.command)
        ended = await self._processes.run([*SHELL, call.command])
        output = ended.out[-OUTPUT_LIMIT:].decode("utf-8", "replace").replace("\0", "\\0")
        return CommandResult(code=ended.code, output=output)

    async def copy(self, call: CopyFile) -> None:
        """Replace a file durably; its folder must exist.

        :raises Invalid: the path or the content is malformed.
        :raises Refused: the administrator of this node forbids it, the file is maintained by jobs,
            or its folder does not exist.
        """
        self._check_allowed()
        try:
            content = base64.b64decode(call.content, validate=True)
        except binascii.Error as e:
            raise Invalid([Problem("content", f"must be base64: {e}")]) from None
        if not call.path.startswith("/") or posixpath.normpath(call.path) != call.path:
            raise Invalid([Problem("path", "must be an absolute path without . and .. components")])
        path = self._paths.root + call.path
        if path.startswith((f"{self._paths.data}/", f"{self._paths.run}/")):
            raise Refused(
                f"{call.path} is managed by the node daemon; use gnt-cluster redist-conf to"
                " distribute the files of all nodes"
            )
        folder = self._files.stat(posixpath.dirname(path))
        if folder is None or not folder.folder:
            raise Refused(f"folder {posixpath.dirname(call.path)} does not exist on this node")
        self._log.info("writing {path} for the master", path=path)
        await self._files.replace(path, content, mode=call.mode & 0o777)

    def _check_allowed(self) -> None:
        forbidden = self._paths.no_cluster_commands
        if self._files.stat(forbidden) is not None:
            raise Refused(
                f"this node refuses commands and files from the master: {forbidden} exists"
            )
