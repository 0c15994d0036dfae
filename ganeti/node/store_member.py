# SPDX-License-Identifier: BSD-2-Clause
"""The files of the member of etcd on this node; ``daemon.member_keeper`` starts and stops it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.journal.etcd.member_files import (
    authority_file,
    certificate_file,
    data_folder,
    settings_file,
)
from ganeti.paths import Paths
from ganeti.rpc.store_members import (
    ConfigureStoreMember,
    DescribeStoreMember,
    MemberSettings,
    RemoveStoreMember,
    StoreMemberReport,
)
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles


class StoreMember:
    """Handles the calls; ``stop`` ends the process of the member, ``runs`` returns whether it has
    one."""

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        runs: Callable[[], bool],
        stop: Callable[[], Awaitable[bool]],
    ) -> None:
        self._files = files
        self._folder = paths.store_member
        self._runs = runs
        self._stop = stop
        self._lock = DeferredLock()

    async def describe(self, _: DescribeStoreMember) -> StoreMemberReport:
        return StoreMemberReport(
            settings=read_member(self._files, self._folder),
            has_data=bool(self._files.names(data_folder(self._folder))),
            runs=self._runs(),
        )

    async def configure(self, call: ConfigureStoreMember) -> None:
        """Keep the settings and certificates of a member durably.

        The member reads new certificates by itself, but not a new authority.
        """
        async with self._lock:
            known, folder = read_member(self._files, self._folder), self._folder
            other = known is None or known.id != call.settings.id
            if call.fresh and other:
                await self._remove()
            await self._files.make_folder(folder, mode=0o700)
            authority = call.authority.encode("ascii")
            changed = self._read(authority_file(folder)) not in (b"", authority)
            await self._files.replace(authority_file(folder), authority, mode=0o600)
            if call.certificate:
                certificate = call.certificate.encode("ascii")
                await self._files.replace(certificate_file(folder), certificate, mode=0o600)
            # Last: the member is started when this file is there.
            settings = msgspec.json.encode(call.settings)
            await self._files.replace(settings_file(folder), settings, mode=0o600)
            if changed:
                await self._stop()
        if other:
            name = call.settings.name
            self._log.info("this node has the member {name} of the state store", name=name)

    async def remove(self, _: RemoveStoreMember) -> bool:
        """Stop the member and remove its data; return whether there was one."""
        async with self._lock:
            there = self._files.stat(self._folder) is not None
            if there:
                await self._remove()
                self._log.info("this node has no member of the state store any more")
            return there

    async def _remove(self) -> None:
        # Before it is stopped, so that it is not started again.
        await self._files.remove(settings_file(self._folder))
        await self._stop()
        if self._files.stat(self._folder) is not None:
            await self._files.remove_folder(self._folder)

    def _read(self, path: str) -> bytes:
        return self._files.read(path) if self._files.stat(path) is not None else b""


def read_member(files: IFiles, folder: str) -> MemberSettings | None:
    """Return the settings of the member in a folder; None if there is none.

    :raises Failed: the file is damaged.
    """
    path = settings_file(folder)
    if files.stat(path) is None:
        return None
    try:
        return msgspec.json.decode(files.read(path), type=MemberSettings)
    except UNREADABLE as e:
        raise Failed(f"{path} is damaged: {e}", Code.ENVIRONMENT) from None
