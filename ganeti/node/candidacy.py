# SPDX-License-Identifier: BSD-2-Clause
"""The calls and files of a master candidate, and their removal when the role is lost.

The member list tells the node that it has lost the role. The answer to that call confirms that the
cluster's keys, secrets, users and state are removed from the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.node.members import MemberList
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.members import UpdateMembers
from ganeti.system.interfaces import IFiles

C = TypeVar("C", bound=Call[object])
R = TypeVar("R")


def secrets(paths: Paths) -> tuple[str, ...]:
    """Return the files that only master candidates may have, keys first."""
    return (
        paths.authority_key,
        paths.domain_secret,
        paths.rapi_certificate,
        paths.rapi_users,
        f"{paths.data}/hmac.key",
        paths.config_file,
        paths.access_file,
        *paths.store_files,
    )


def list_state_folders(paths: Paths) -> tuple[str, ...]:
    """Return the folders with the copy of the cluster's state."""
    return paths.journal, paths.queue


class Candidacy:
    """Guards the calls for candidates, and removes their files when the node is no longer one.

    ``is_master`` returns whether a master daemon runs on this node, which then uses the files;
    ``close`` closes the files of the copy.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        members: MemberList,
        is_master: Callable[[], bool],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._files = files
        self._paths = paths
        self._members = members
        self._is_master = is_master
        self._close = close
        self._running = 0
        self._idle: list[Deferred[None]] = []

    def required(
        self, answer: Callable[[C], Awaitable[R]]
    ) -> Callable[[C], Coroutine[Deferred[object], object, R]]:
        """Return ``answer`` guarded: only candidates handle the call."""

        async def guarded(call: C) -> R:
            if not self._members.is_candidate():
                raise Refused(
                    f"this node is not a master candidate and does not handle {call.wire}; to"
                    " make it one, on the master: gnt-node modify --master-candidate=yes"
                )
            self._running += 1
            try:
                return await answer(call)
            finally:
                self._running -= 1
                if not self._running:
                    idle, self._idle = self._idle, []
                    for each in idle:
                        each.callback(None)

        return guarded

    async def update(self, call: UpdateMembers) -> int:
        """Use a newer member list; remove what this node may not have according to it.

        :raises Failed: the files could not be removed yet.
        """
        revision = await self._members.update(call)
        if not self._members.is_candidate():
            await self._remove_candidate_files()
        return revision

    async def _remove_candidate_files(self) -> None:
        paths = self._paths
        folders = [path for path in list_state_folders(paths) if self._files.names(path)]
        there = [path for path in secrets(paths) if self._files.stat(path) is not None]
        if not folders and not there:
            return
        # Before anything is removed: a master would write the files again, and miss those that are
        # gone.
        if self._is_master():
            raise Failed(
                "this node is no longer a master candidate, but a master daemon still runs here;"
                " it ends when it observes its successor, or stop it",
                Code.ENVIRONMENT,
            )
        # A call that is still running could write files after they were removed.
        if self._running:
            idle: Deferred[None] = Deferred(self._idle.remove)
            self._idle.append(idle)
            await idle
        # Keys first: a crash in between leaves as little as possible that must not be here.
        for path in there:
            await self._files.remove(path)
        # Before the folder is removed: the log would go on in a file without a name.
        await self._close()
        for folder in folders:
            await self._files.remove_folder(folder)
        self._log.info(
            "not a master candidate: removed the cluster's state and keys from this node"
        )
