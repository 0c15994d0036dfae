# SPDX-License-Identifier: BSD-2-Clause
"""Keeps a running guest from writing for a moment, as snapshots and backups need it.

Its file systems are frozen by the guest agent, and its processors are stopped. What was done to a
guest is noted in a file before it is done, so that another daemon takes it back, should this one
end meanwhile. A guest that a person has paused has no such note, and stays paused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote

from twisted.logger import Logger

from ganeti.hypervisor.kvm.guest_agent import AgentFailed, GuestAgents
from ganeti.hypervisor.kvm.guest_registry import GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import Monitor
from ganeti.hypervisor.kvm.qemu_processes import read_parameters
from ganeti.system.interfaces import IFiles

_PAUSED, _FROZEN = "paused", "frozen"
_GUEST = "guest-"


class GuestQuiescence:
    """Freezes and stops guests, and notes it in a folder of each below ``scratch``."""

    _log = Logger()

    def __init__(
        self, guests: GuestRegistry, agents: GuestAgents, files: IFiles, scratch: str
    ) -> None:
        self._guests = guests
        self._agents = agents
        self._files = files
        self._scratch = scratch

    def folder(self, name: str) -> str:
        """Return the folder of a guest; no name leads out of ``scratch``."""
        return f"{self._scratch}/{_GUEST}{quote(name, safe='')}"

    def find_agent(self, runtime: GuestRecord) -> str:
        """Return the path of the agent's socket; empty if the guest runs without an agent."""
        if runtime.config is None or not read_parameters(runtime.config.hvparams).use_guest_agent:
            return ""
        return self._guests.runtime_paths(runtime.name).agent

    @asynccontextmanager
    async def freeze_guest(self, runtime: GuestRecord) -> AsyncIterator[bool]:
        """Freeze the file systems of a guest until the block ends; return whether they are.

        They are not if the guest has no agent, or that does not answer or cannot freeze them.

        :raises AgentFailed: after the block: they may still be frozen.
        """
        if not (agent := self.find_agent(runtime)):
            yield False
            return
        await self._note(runtime.name, _FROZEN)
        try:
            async with self._agents.freeze(agent) as frozen:
                yield frozen
        except AgentFailed:
            # The note stays, for those who try to thaw them again.
            raise
        except BaseException:
            await self._remove_note(runtime.name, _FROZEN)
            raise
        await self._remove_note(runtime.name, _FROZEN)

    async def stop_guest(self, qemu: Monitor, name: str) -> bool:
        """Stop the processors of a guest, if they run; return whether they did.

        All that it has written is with the storage then.
        """
        if not (await qemu.execute("query-status"))["running"]:
            return False
        await self._note(name, _PAUSED)
        await qemu.execute("stop")
        return True

    async def continue_guest(self, qemu: Monitor, name: str) -> None:
        """Let a guest go on that ``stop_guest`` has stopped."""
        await qemu.execute("cont")
        await self._remove_note(name, _PAUSED)

    async def release_guest(self, qemu: Monitor, runtime: GuestRecord) -> None:
        """Take back what an interrupted snapshot or backup has left of this."""
        if self._is_noted(runtime.name, _PAUSED):
            await self.continue_guest(qemu, runtime.name)
        if self._is_noted(runtime.name, _FROZEN):
            if agent := self.find_agent(runtime):
                try:
                    await self._agents.thaw(agent)
                except AgentFailed as e:
                    self._log.error("guest {name}: {why}", name=runtime.name, why=str(e))
            await self._remove_note(runtime.name, _FROZEN)

    def _is_noted(self, name: str, kind: str) -> bool:
        return self._files.stat(f"{self.folder(name)}/{kind}") is not None

    async def _note(self, name: str, kind: str) -> None:
        await self._files.make_folder(self.folder(name), mode=0o700)
        await self._files.replace(f"{self.folder(name)}/{kind}", b"", mode=0o600)

    async def _remove_note(self, name: str, kind: str) -> None:
        await self._files.remove(f"{self.folder(name)}/{kind}")
        if not self._files.names(self.folder(name)):
            await self._files.remove_folder(self.folder(name))


def read_folder(folder: str) -> str:
    """Return the name of the guest whose folder has this name."""
    return unquote(folder.removeprefix(_GUEST))
