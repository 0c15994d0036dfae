# SPDX-License-Identifier: BSD-2-Clause
"""Hook scripts, which an administrator runs on this node before and after operations."""

from __future__ import annotations

import re
import stat

from ganeti.errors import Failed
from ganeti.rpc.node import HookResult, RunHooks, hook_folder
from ganeti.system.interfaces import IFiles, IProcesses

PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
SKIPPED, FAILED, SUCCEEDED = 0, 1, 2


class Hooks:
    """The scripts in ``<folder>/<hook directory>-<phase>.d``."""

    def __init__(self, files: IFiles, processes: IProcesses, folder: str) -> None:
        self._files = files
        self._processes = processes
        self._folder = folder

    async def run(self, call: RunHooks) -> list[HookResult]:
        """Run the scripts of a directory in byte order; a missing directory has no scripts.

        Most operations call this and most nodes have no hooks, so that this case costs one
        ``stat``.
        """
        place = hook_folder(call.directory, call.phase)
        folder = f"{self._folder}/{place}"
        if self._files.stat(folder) is None:
            return []
        names = sorted(self._files.names(folder), key=str.encode)
        return [await self._run(folder, place, name, call.environment) for name in names]

    async def _run(
        self, folder: str, place: str, name: str, environment: dict[str, str]
    ) -> HookResult:
        script = f"{place}/{name}"
        if not self._is_runnable(f"{folder}/{name}", name):
            return HookResult(script=script, status=SKIPPED, output="")
        try:
            ended = await self._processes.run(
                [f"{folder}/{name}"], env={**environment, "PATH": PATH}
            )
        except Failed as e:
            return HookResult(script=script, status=FAILED, output=str(e))
        output = (ended.out + ended.err).decode("utf-8", "replace").strip()
        status = FAILED if ended.code else SUCCEEDED
        return HookResult(script=script, status=status, output=output)

    def _is_runnable(self, path: str, name: str) -> bool:
        found = self._files.stat(path) if _NAME.fullmatch(name) else None
        return found is not None and not found.folder and bool(found.mode & stat.S_IXUSR)
