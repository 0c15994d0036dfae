# SPDX-License-Identifier: BSD-2-Clause
"""The features of a node's QEMU programs: version, machine types and CPU models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from twisted.internet.defer import DeferredLock

from ganeti.errors import Failed, Refused
from ganeti.system.interfaces import IFiles, IProcesses, Stat

_TIMEOUT = 30.0
_VERSION = re.compile(r"version (\d[\w.]*)")
_MACHINE = re.compile(r"^(\S+) +\S.*$", re.MULTILINE)
_ALIAS = re.compile(r"\(alias of (\S+)\)")
_PC = "pc"


@dataclass(frozen=True)
class QemuProgram:
    """A QEMU program; ``machines`` maps each machine type, also aliases, to the versioned type.

    ``default`` is the machine type if a guest has none. ``cpus`` is empty if the program does not
    list its CPU models. ``spice`` is whether it serves SPICE.
    """

    binary: str
    version: str
    machines: Mapping[str, str] = field(default_factory=dict)
    default: str = _PC
    cpus: frozenset[str] = frozenset()
    spice: bool = True

    def machine(self, wanted: str) -> str:
        """Return the versioned machine type for ``wanted``, including its options.

        An alias such as ``pc`` is a different machine in each version of QEMU, and a guest can be
        migrated only between equal machines.

        :raises Refused: if there is no such machine type.
        """
        name, comma, options = wanted.partition(",")
        if (found := self.machines.get(name or self.default)) is None:
            raise Refused(
                f"QEMU {self.version} ({self.binary}) has no machine type {name}; "
                f"{self.binary} -machine help lists those it has"
            )
        return f"{found}{comma}{options}"

    def find_cpu_problem(self, wanted: str) -> str:
        """Return why a guest cannot have this CPU model; empty if it can."""
        model = wanted.partition(",")[0]
        if not model or not self.cpus or model in self.cpus:
            return ""
        return (
            f"QEMU {self.version} ({self.binary}) has no CPU model {model}; "
            f"{self.binary} -cpu help lists those it has"
        )


def parse_machines(text: str) -> tuple[dict[str, str], str]:
    """Parse the output of ``-machine help``; return the machine types and the default one.

    ``pc`` is the default if it exists, as in Ganeti.
    """
    machines, default = {}, ""
    # The first line is a heading.
    for found in _MACHINE.finditer(text.partition("\n")[2]):
        name = found[1]
        alias = _ALIAS.search(found[0])
        machines[name] = alias[1] if alias else name
        if "(default)" in found[0]:
            default = name
    return machines, _PC if _PC in machines else default


def parse_cpus(text: str) -> frozenset[str]:
    """Parse the output of ``-cpu help``; old versions prefix each model with ``x86``."""
    models, _, _ = text.partition("\nRecognized CPUID flags")
    lines = [line for line in models.splitlines() if line.strip() and not line.endswith(":")]
    return frozenset(line.removeprefix("x86 ").split()[0] for line in lines)


class QemuPrograms:
    """Queries the features of QEMU programs; results are cached until the program file changes."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes
        self._known: dict[str, tuple[Stat | None, QemuProgram]] = {}
        # Callers that come at the same time wait for one query.
        self._turn = DeferredLock()

    async def describe(self, binary: str) -> QemuProgram:
        """Return the features of a program.

        :raises Failed: if it cannot be run.
        """
        async with self._turn:
            stat = self._files.stat(binary)
            known = self._known.get(binary)
            if known is None or known[0] != stat:
                known = self._known[binary] = stat, await self._describe(binary)
            return known[1]

    async def _describe(self, binary: str) -> QemuProgram:
        version = _VERSION.search(await self._run(binary, "--version"))
        machines, default = parse_machines(await self._run(binary, "-machine", "help"))
        cpus = parse_cpus(await self._run(binary, "-cpu", "help"))
        number = version[1] if version else "unknown"
        # It exits with an error also if it has told the options.
        listed = await self._processes.run([binary, "-spice", "help"], timeout=_TIMEOUT)
        spice = b"spice options" in listed.out
        return QemuProgram(binary, number, machines, default, cpus, spice)

    async def _run(self, binary: str, *arguments: str) -> str:
        finished = await self._processes.run([binary, *arguments], timeout=_TIMEOUT)
        if finished.code:
            said = finished.err.decode("utf-8", "replace").strip()
            raise Failed(
                f"{binary} {' '.join(arguments)} failed: {said or f'exit code {finished.code}'}"
            )
        return finished.out.decode("utf-8", "replace")
