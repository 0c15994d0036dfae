# SPDX-License-Identifier: BSD-2-Clause
"""Runs the scripts of OS definitions; what they say goes to a log of its own each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.model.guest import Guest
from ganeti.node.environment import of_definition, of_disk, of_guest
from ganeti.node.oses import WITH_PARAMETERS, OSDefinitions, api_version
from ganeti.rpc.node import OSDefinitionReport, ValidateOS
from ganeti.system.interfaces import IFiles, IProcesses, ProcessResult

ANNOUNCED_SIZE = 3
"""The descriptor on which an export script announces how many bytes it is going to write."""

_LAST_LINES = 20


@dataclass(frozen=True)
class _Run:
    """A script to run: its file, what its log is called, what it was to do in words."""

    definition: OSDefinitionReport
    script: str
    log: str
    doing: str


class OSScripts:
    """The scripts of the OS definitions of this node; ``seconds`` is the time since the epoch."""

    def __init__(
        self,
        definitions: OSDefinitions,
        processes: IProcesses,
        files: IFiles,
        logs: str,
        seconds: Callable[[], float],
    ) -> None:
        self._definitions = definitions
        self._processes = processes
        self._files = files
        self._logs = logs
        self._seconds = seconds

    async def create(
        self, guest: Guest, paths: Sequence[str], *, reinstall: bool = False, debug: int = 0
    ) -> None:
        """Put the operating system on the disks of a guest.

        :raises Refused: the definition cannot be used here.
        :raises Failed: with the end of the script's log, and where the log is.
        """
        definition = self._definitions.find(guest.os)
        if not definition.trusted:
            raise Refused(
                f"OS definition {definition.name} has no create script, only create_untrusted;"
                " it would need a helper guest, which this software does not offer",
                Code.STATE,
            )
        extra = {"INSTANCE_REINSTALL": "1"} if reinstall else {}
        run = _Run(definition, "create", f"add-{_slug(guest)}", f"install {guest.name}")
        await self._run(run, of_guest(definition, guest, paths, debug) | extra)

    async def rename(
        self, guest: Guest, paths: Sequence[str], old_name: str, *, debug: int = 0
    ) -> None:
        """Adapt the guest on the disks to its new name, which ``guest`` already has."""
        definition = self._definitions.find(guest.os)
        environment = of_guest(definition, guest, paths, debug)
        run = _Run(definition, "rename", f"rename-{_slug(guest)}", f"rename {old_name}")
        await self._run(run, environment | {"OLD_INSTANCE_NAME": old_name})

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
        """Dump a disk to ``sink``; to ``announced`` goes how many bytes are to be expected.

        Both are files, or open descriptors of ours.
        """
        definition = self._definitions.find(guest.os)
        environment = of_guest(definition, guest, paths, debug)
        environment |= of_disk("EXPORT", index, paths[index])
        environment["EXP_SIZE_FD"] = str(ANNOUNCED_SIZE)
        run = _Run(
            definition,
            "export",
            f"export-{_slug(guest)}-disk{index}",
            f"export disk {index} of {guest.name}",
        )
        await self._run(run, environment, files={1: sink, ANNOUNCED_SIZE: announced})

    async def restore(
        self,
        guest: Guest,
        paths: Sequence[str],
        index: int,
        *,
        source: str | int,
        debug: int = 0,
    ) -> None:
        """Fill a disk from ``source``, a file or an open descriptor of ours (script import)."""
        definition = self._definitions.find(guest.os)
        environment = of_guest(definition, guest, paths, debug)
        environment |= of_disk("IMPORT", index, paths[index])
        run = _Run(
            definition,
            "import",
            f"import-{_slug(guest)}-disk{index}",
            f"import disk {index} of {guest.name}",
        )
        await self._run(run, environment, files={0: source})

    async def verify(self, call: ValidateOS) -> None:
        """Let a definition check an instance's parameters, its name and variant first.

        :raises Refused: there is no such definition or variant.
        :raises Invalid: parameters that the definition does not list.
        :raises Failed: the script does not accept them; with its words.
        """
        definition = self._definitions.find(call.os)
        if not call.force_variant:
            _check_variant(definition, call.os)
        if api_version(definition) < WITH_PARAMETERS:
            return
        known = {name.lower() for name, _ in definition.parameters}
        unknown = [name for name in sorted(call.osparams) if name.lower() not in known]
        if unknown:
            does = f"OS definition {definition.name} has no such parameter"
            raise Invalid([Problem(f"osparams/{name}", does) for name in unknown])
        run = _Run(definition, "verify", f"verify-{definition.name}", "check its parameters")
        await self._run(run, of_definition(definition, call.os, call.osparams), "parameters")

    async def _run(
        self,
        run: _Run,
        environment: Mapping[str, str],
        *arguments: str,
        files: Mapping[int, str | int] | None = None,
    ) -> None:
        stamp = time.strftime("%Y-%m-%d_%H_%M_%S", time.localtime(self._seconds()))
        log = f"{self._logs}/{run.log}-{stamp}.log"
        if self._files.stat(self._logs) is None:
            await self._files.make_folder(self._logs)
        argv = [f"{run.definition.path}/{run.script}", *arguments]
        # Shell definitions read files beside themselves by name (``. common.sh``).
        finished = await self._processes.run(
            argv, env=environment, output=log, files=files, cwd=run.definition.path
        )
        if finished.code:
            raise Failed(_why(run, finished, log), Code.ENVIRONMENT)


def _why(run: _Run, finished: ProcessResult, log: str) -> str:
    name = run.definition.name
    how = f"exited with {finished.code}" if finished.code > 0 else f"died of {-finished.code}"
    failed = f"OS definition {name} could not {run.doing}: its script {run.script} {how}"
    lines = finished.out.decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    if not lines:
        return f"{failed} and said nothing"
    return "\n".join([f"{failed}; the end of its log {log}:", *lines])


def _check_variant(definition: OSDefinitionReport, os: str) -> None:
    name, plus, variant = os.partition("+")
    if definition.variants and variant not in definition.variants:
        known = ", ".join(f"{name}+{each}" for each in definition.variants)
        what = f"no variant {variant}" if plus else "variants, of which one must be named"
        raise Refused(f"OS definition {name} has {what}: use {known}", Code.INPUT)
    if plus and not definition.variants:
        raise Refused(f"OS definition {name} has no variants: use {name}", Code.INPUT)


def _slug(guest: Guest) -> str:
    return f"{guest.os.partition('+')[0]}-{guest.name.replace('/', '_')}"
