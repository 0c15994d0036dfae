# SPDX-License-Identifier: BSD-2-Clause
"""What a QEMU program of this node offers: its version, machine types and CPU models."""

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
_USUAL = "pc"


@dataclass(frozen=True)
class QemuProgram:
    """A QEMU program; ``machines`` maps each name of a machine type to that of the very machine.

    ``default`` is the machine type of a guest that names none. ``cpus`` is empty if the program
    does not list its CPU models.
    """

    binary: str
    version: str
    machines: Mapping[str, str] = field(default_factory=dict)
    default: str = _USUAL
    cpus: frozenset[str] = frozenset()

    def machine(self, wanted: str) -> str:
        """Return the machine type that ``wanted`` stands for, its options included.

        An alias such as ``pc`` stands for another machine with each version of QEMU; a guest can be
        migrated only between equal machines.

        :raises Refused: there is no such machine.
        """
        name, comma, options = wanted.partition(",")
        if (found := self.machines.get(name or self.default)) is None:
            raise Refused(
                f"QEMU {self.version} ({self.binary}) has no machine type {name}; "
                f"{self.binary} -machine help lists those it has"
            )
        return f"{found}{comma}{options}"

    def lacks_cpu(self, wanted: str) -> str:
        """Return why a guest cannot have this CPU model with its flags; empty if it can."""
        model = wanted.partition(",")[0]
        if not model or not self.cpus or model in self.cpus:
            return ""
        return (
            f"QEMU {self.version} ({self.binary}) has no CPU model {model}; "
            f"{self.binary} -cpu help lists those it has"
        )


def read_machines(text: str) -> tuple[dict[str, str], str]:
    """Return the machine types in what ``-machine help`` writes, and the one that is the default.

    ``pc`` is the default where there is one, as it always was for guests of Ganeti.
    """
    machines, default = {}, ""
    # The first line is a heading.
    for found in _MACHINE.finditer(text.partition("\n")[2]):
        name = found[1]
        alias = _ALIAS.search(found[0])
        machines[name] = alias[1] if alias else name
        if "(default)" in found[0]:
            default = name
    return machines, _USUAL if _USUAL in machines else default


def read_cpus(text: str) -> frozenset[str]:
    """Return the CPU models in what ``-cpu help`` writes; old versions put ``x86`` before each."""
    models, _, _ = text.partition("\nRecognized CPUID flags")
    lines = [line for line in models.splitlines() if line.strip() and not line.endswith(":")]
    return frozenset(line.removeprefix("x86 ").split()[0] for line in lines)


class QemuPrograms:
    """Asks QEMU programs what they offer, once for each as long as its file is the same."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes
        self._known: dict[str, tuple[Stat | None, QemuProgram]] = {}
        self._turn = DeferredLock()

    async def describe(self, binary: str) -> QemuProgram:
        """Return what a program offers.

        :raises Failed: it cannot be run.
        """
        async with self._turn:
            stat = self._files.stat(binary)
            known = self._known.get(binary)
            if known is None or known[0] != stat:
                known = self._known[binary] = stat, await self._describe(binary)
            return known[1]

    async def _describe(self, binary: str) -> QemuProgram:
        version = _VERSION.search(await self._ask(binary, "--version"))
        machines, default = read_machines(await self._ask(binary, "-machine", "help"))
        cpus = read_cpus(await self._ask(binary, "-cpu", "help"))
        return QemuProgram(binary, version[1] if version else "unknown", machines, default, cpus)

    async def _ask(self, binary: str, *arguments: str) -> str:
        finished = await self._processes.run([binary, *arguments], timeout=_TIMEOUT)
        if finished.code:
            said = finished.err.decode("utf-8", "replace").strip()
            raise Failed(
                f"{binary} {' '.join(arguments)} failed: {said or f'exit code {finished.code}'}"
            )
        return finished.out.decode("utf-8", "replace")
