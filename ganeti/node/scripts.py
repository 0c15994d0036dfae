# SPDX-License-Identifier: BSD-2-Clause
"""Execution of the scripts of OS definitions; each run has its own log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.model.guest import Guest
from ganeti.node.environment import (
    build_disk_environment,
    build_guest_environment,
    build_os_environment,
)
from ganeti.node.oses import SEED_SCRIPT, WITH_PARAMETERS, OSDefinitions, api_version
from ganeti.rpc.node import OSDefinitionReport, ValidateOS
from ganeti.system.interfaces import IFiles, IProcesses, ProcessResult

SIZE_DESCRIPTOR = 3
"""The file descriptor on which an export script announces its output size in bytes."""

_MAX_LOG_LINES = 20


@dataclass(frozen=True)
class _ScriptRun:
    """A script to run: the name of its log, and its purpose for messages."""

    definition: OSDefinitionReport
    script: str
    log: str
    doing: str


class OSScripts:
    """The scripts of this node's OS definitions; ``seconds`` returns the time since the epoch.

    Each definition may keep files in a folder of its own below ``cache``; files that are needed
    only while a script runs are below ``work``.
    """

    def __init__(
        self,
        definitions: OSDefinitions,
        processes: IProcesses,
        files: IFiles,
        logs: str,
        seconds: Callable[[], float],
        *,
        cache: str,
        work: str,
    ) -> None:
        self._definitions = definitions
        self._processes = processes
        self._files = files
        self._logs = logs
        self._seconds = seconds
        self._cache = cache
        self._work = work
        self._logs_in_use: set[str] = set()

    async def create(
        self, guest: Guest, paths: Sequence[str], *, reinstall: bool = False, debug: int = 0
    ) -> None:
        """Install the operating system on the disks of a guest.

        :raises Refused: the definition cannot be used here.
        :raises Failed: the script failed; the message has the end and the path of its log.
        """
        definition = self._definitions.find_definition(guest.os)
        if not definition.trusted:
            raise Refused(
                f"OS definition {definition.name} has only a create_untrusted script, which needs a"
                " helper guest and is not supported; provide a create script",
                Code.STATE,
            )
        extra = {"INSTANCE_REINSTALL": "1"} if reinstall else {}
        run = _ScriptRun(
            definition, "create", f"add-{_make_log_name(guest)}", f"install {guest.name}"
        )
        await self._run_script(
            run, build_guest_environment(definition, guest, paths, debug) | extra
        )

    async def rename(
        self, guest: Guest, paths: Sequence[str], old_name: str, *, debug: int = 0
    ) -> None:
        """Adapt the guest on the disks to its new name, the name of ``guest``."""
        definition = self._definitions.find_definition(guest.os)
        environment = build_guest_environment(definition, guest, paths, debug)
        run = _ScriptRun(
            definition, "rename", f"rename-{_make_log_name(guest)}", f"rename {old_name}"
        )
        await self._run_script(run, environment | {"OLD_INSTANCE_NAME": old_name})

    async def write_seed(self, guest: Guest, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the files of the volume that a guest reads when it boots, by name.

        They are what the definition's script ``seed`` writes into the folder SEED_FOLDER; there are
        none without this script.

        :raises Failed: the script failed, or has written a folder.
        """
        if not self._definitions.has_seed(guest.os):
            return {}
        definition = self._definitions.find_definition(guest.os)
        folder = f"{self._work}/{guest.uuid}"
        # What an earlier run has left, whose daemon was killed.
        await self._files.remove_folder(folder)
        # Passwords may be among the files.
        await self._files.make_folder(folder, mode=0o700)
        try:
            run = _ScriptRun(
                definition,
                SEED_SCRIPT,
                f"seed-{_make_log_name(guest)}",
                f"prepare the boot of {guest.name}",
            )
            environment = build_guest_environment(definition, guest, paths)
            await self._run_script(run, environment | {"SEED_FOLDER": folder})
            try:
                return {
                    name: self._files.read(f"{folder}/{name}") for name in self._files.names(folder)
                }
            except OSError as e:
                raise Failed(
                    f"OS definition {definition.name}: what its script {SEED_SCRIPT} has written"
                    f" cannot be read: {e}",
                    Code.ENVIRONMENT,
                ) from e
        finally:
            await self._files.remove_folder(folder)

    async def export(
        self,
        guest: Guest,
        paths: Sequence[str],
        index: int,
        *,
        sink: str | int,
        announced: str | int = "/dev/null",
        debug: int = 0,
    ) -> None:
        """Dump a disk to ``sink``; the script announces its size in bytes on ``announced``.

        Both are paths or open file descriptors.
        """
        definition = self._definitions.find_definition(guest.os)
        environment = build_guest_environment(definition, guest, paths, debug)
        environment |= build_disk_environment("EXPORT", index, paths[index])
        environment["EXP_SIZE_FD"] = str(SIZE_DESCRIPTOR)
        run = _ScriptRun(
            definition,
            "export",
            f"export-{_make_log_name(guest)}-disk{index}",
            f"export disk {index} of {guest.name}",
        )
        await self._run_script(run, environment, files={1: sink, SIZE_DESCRIPTOR: announced})

    async def restore(
        self,
        guest: Guest,
        paths: Sequence[str],
        index: int,
        *,
        source: str | int,
        debug: int = 0,
    ) -> None:
        """Fill a disk from ``source``, a path or an open file descriptor (script ``import``)."""
        definition = self._definitions.find_definition(guest.os)
        environment = build_guest_environment(definition, guest, paths, debug)
        environment |= build_disk_environment("IMPORT", index, paths[index])
        run = _ScriptRun(
            definition,
            "import",
            f"import-{_make_log_name(guest)}-disk{index}",
            f"import disk {index} of {guest.name}",
        )
        await self._run_script(run, environment, files={0: source})

    async def verify(self, call: ValidateOS) -> None:
        """Check name and variant, then run the definition's check of an instance's parameters.

        :raises Refused: the definition or the variant does not exist.
        :raises Invalid: the definition does not list a parameter.
        :raises Failed: the script rejects the parameters; the message has its output.
        """
        definition = self._definitions.find_definition(call.os)
        if not call.force_variant:
            _check_variant(definition, call.os)
        if api_version(definition) < WITH_PARAMETERS:
            return
        # They become variables in capital letters, so that case does not distinguish them.
        known = {name.lower() for name, _ in definition.parameters}
        unknown = [name for name in sorted(call.osparams) if name.lower() not in known]
        if unknown:
            does = f"is not a parameter of OS definition {definition.name}"
            raise Invalid([Problem(f"osparams/{name}", does) for name in unknown])
        run = _ScriptRun(definition, "verify", f"verify-{definition.name}", "check its parameters")
        await self._run_script(
            run, build_os_environment(definition, call.os, call.osparams), "parameters"
        )

    async def _run_script(
        self,
        run: _ScriptRun,
        environment: Mapping[str, str],
        *arguments: str,
        files: Mapping[int, str | int] | None = None,
    ) -> None:
        if self._files.stat(self._logs) is None:
            await self._files.make_folder(self._logs)
        argv = [f"{run.definition.path}/{run.script}", *arguments]
        log = self._unused_log(run)
        environment = {**environment, "OS_CACHE_FOLDER": f"{self._cache}/{run.definition.name}"}
        self._logs_in_use.add(log)
        try:
            # Shell definitions source files from their own folder by name (``. common.sh``).
            finished = await self._processes.run(
                argv, env=environment, output=log, files=files, cwd=run.definition.path
            )
        finally:
            self._logs_in_use.discard(log)
        if finished.code:
            raise Failed(_describe_failure(run, finished, log), Code.ENVIRONMENT)

    def _unused_log(self, run: _ScriptRun) -> str:
        """Return the path of a log that no other run writes to, or removes as empty."""
        stamp = time.strftime("%Y-%m-%d_%H_%M_%S", time.localtime(self._seconds()))
        start = f"{self._logs}/{run.log}-{stamp}"
        names = chain((f"{start}.log",), (f"{start}-{number}.log" for number in count(2)))
        return next(name for name in names if name not in self._logs_in_use)


def _describe_failure(run: _ScriptRun, finished: ProcessResult, log: str) -> str:
    name = run.definition.name
    how = (
        f"exited with code {finished.code}"
        if finished.code > 0
        else f"was killed by signal {-finished.code}"
    )
    failed = f"OS definition {name} could not {run.doing}: its script {run.script} {how}"
    lines = finished.out.decode("utf-8", "replace").splitlines()[-_MAX_LOG_LINES:]
    if not lines:
        return f"{failed} without any output"
    return "\n".join([f"{failed}; the end of its log {log}:", *lines])


def _check_variant(definition: OSDefinitionReport, os: str) -> None:
    name, plus, variant = os.partition("+")
    if definition.variants and variant not in definition.variants:
        known = ", ".join(f"{name}+{each}" for each in definition.variants)
        what = f"no variant {variant}" if plus else "variants, and none is given"
        raise Refused(f"OS definition {name} has {what}; use one of {known}", Code.INPUT)
    if plus and not definition.variants:
        raise Refused(f"OS definition {name} has no variants; use {name}", Code.INPUT)


def _make_log_name(guest: Guest) -> str:
    return f"{guest.os.partition('+')[0]}-{guest.name.replace('/', '_')}"
