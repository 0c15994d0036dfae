# SPDX-License-Identifier: BSD-2-Clause
"""Commands and files that an administrator of the cluster sends to all nodes.

A node's own administrator forbids both by the file ``no-cluster-commands`` among what is
configured.
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
"""Runs a command line with both streams in one, in the order in which they were written."""

OUTPUT_LIMIT = 128 * 1024
"""Bytes of output that are answered, the last ones."""


class ClusterCommands:
    """Answers the calls of ``gnt-cluster command`` and ``copyfile``."""

    _log = Logger()

    def __init__(self, files: IFiles, processes: IProcesses, paths: Paths) -> None:
        self._files = files
        self._processes = processes
        self._paths = paths

    async def run(self, call: RunCommand) -> CommandResult:
        """Run a command line as root.

        :raises Refused: the administrator of this node does not allow it.
        """
        self._require_allowed()
        self._log.info("the master runs {command!r}", command=call.command)
        ended = await self._processes.run([*SHELL, call.command])
        output = ended.out[-OUTPUT_LIMIT:].decode("utf-8", "replace").replace("\0", "\\0")
        return CommandResult(code=ended.code, output=output)

    async def copy(self, call: CopyFile) -> None:
        """Replace a file, durably; folders above it must be there.

        :raises Invalid: the path or the content is none.
        :raises Refused: the administrator of this node does not allow it, the file is one of those
            that jobs keep up to date, or its folder is not there.
        """
        self._require_allowed()
        try:
            content = base64.b64decode(call.content, validate=True)
        except binascii.Error as e:
            raise Invalid([Problem("content", f"must be base64: {e}")]) from None
        if not call.path.startswith("/") or posixpath.normpath(call.path) != call.path:
            raise Invalid([Problem("path", "must be an absolute path without .. and the like")])
        path = self._paths.root + call.path
        if path.startswith((f"{self._paths.data}/", f"{self._paths.run}/")):
            raise Refused(
                f"{call.path} belongs to the node daemon; gnt-cluster redist-conf distributes what"
                " all nodes have"
            )
        folder = self._files.stat(posixpath.dirname(path))
        if folder is None or not folder.folder:
            raise Refused(f"there is no folder {posixpath.dirname(call.path)} on this node")
        self._log.info("the master writes {path}", path=path)
        await self._files.replace(path, content, mode=call.mode & 0o777)

    def _require_allowed(self) -> None:
        forbidden = self._paths.no_cluster_commands
        if self._files.stat(forbidden) is not None:
            raise Refused(f"this node takes no commands and files from the master: {forbidden}")
