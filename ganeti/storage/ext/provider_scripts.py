# SPDX-License-Identifier: BSD-2-Clause
"""Execution of the scripts of external storage providers.

Each run has its own log, which is removed if the script writes nothing. A script that hangs is
killed with all that it has started.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ganeti.errors import Code, Failed
from ganeti.model.disk import Disk
from ganeti.schema.types import Parameters
from ganeti.storage.ext.providers import Provider
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_TIMEOUT = 240.0
"""Seconds for scripts that change no data: less than the calls to nodes that wait for them."""
_DATA_TIMEOUT = 3600.0
"""Seconds for scripts that may copy or erase data."""
_DATA_SCRIPTS = frozenset({"create", "grow", "remove", "snapshot"})
_MAX_LOG_LINES = 20

NO_PARAMETERS = frozenset({"access"})
"""Disk parameters of the template that are not parameters of a provider."""


class ProviderScripts:
    """The scripts of this node's providers; ``seconds`` returns the time since the epoch."""

    def __init__(
        self,
        processes: IProcesses,
        files: IFiles,
        *,
        logs: str,
        seconds: Callable[[], float],
    ) -> None:
        self._processes = processes
        self._files = files
        self._logs = logs
        self._seconds = seconds

    async def run_provider_script(
        self,
        provider: Provider,
        script: str,
        disk: Disk,
        extra: Mapping[str, str] | None = None,
        *arguments: str,
        stdout: str | None = None,
    ) -> None:
        """Run a script for a disk; ``extra`` are its own variables, ``stdout`` a file for output.

        :raises Failed: it cannot be started, hangs, or fails; the message has the end of the log,
            and its path.
        """
        if self._files.stat(self._logs) is None:
            await self._files.make_folder(self._logs)
        log = self._log_path(provider, script, disk)
        failed = (
            f"script {script} of external storage provider {provider.name} failed for"
            f" {disk.iv_name or 'volume'} ({disk.logical_id[1]})"
        )
        try:
            finished = await self._processes.run(
                [f"{provider.path}/{script}", *arguments],
                env={**make_environment(disk), **(extra or {})},
                output=log,
                files=None if stdout is None else {1: stdout},
                timeout=_DATA_TIMEOUT if script in _DATA_SCRIPTS else _TIMEOUT,
                cwd=provider.path,
            )
        except Failed as e:
            has_log = self._files.stat(log) is not None
            raise Failed(
                f"{failed}: {e}; {f'see its log {log}' if has_log else 'it has printed nothing'}",
                Code.ENVIRONMENT,
            ) from e
        if finished.code:
            raise Failed(
                f"{failed}: it {_describe_end(finished.code, finished.out, log)}",
                Code.ENVIRONMENT,
            )

    def _log_path(self, provider: Provider, script: str, disk: Disk) -> str:
        stamp = time.strftime("%Y-%m-%d_%H_%M_%S", time.localtime(self._seconds()))
        return f"{self._logs}/{script}-{provider.name}-{disk.logical_id[1]}-{stamp}.log"


def make_environment(disk: Disk) -> dict[str, str]:
    """Return the variables that all scripts get: the disk, and the provider's parameters."""
    name = {"VOL_CNAME": disk.name} if disk.name else {}
    parameters = {
        f"EXTP_{name.upper()}": str(value) for name, value in provider_parameters(disk).items()
    }
    return {
        "PATH": MINIMAL_PATH,
        "VOL_NAME": str(disk.logical_id[1]),
        "VOL_UUID": disk.uuid,
        **name,
        **parameters,
    }


def provider_parameters(disk: Disk) -> Parameters:
    """Return the parameters of a disk that are for its provider."""
    return {name: value for name, value in (disk.params or {}).items() if name not in NO_PARAMETERS}


def _describe_end(code: int, out: bytes, log: str) -> str:
    how = f"exited with code {code}" if code > 0 else f"was killed by signal {-code}"
    lines = out.decode("utf-8", "replace").splitlines()[-_MAX_LOG_LINES:]
    if not lines:
        return f"{how} without any output"
    return "\n".join([f"{how}; the end of its log {log}:", *lines])
