# SPDX-License-Identifier: BSD-2-Clause
"""Queries about repositories, backups and schedules; what is in a repository, its node is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError
from ganeti.model.backups import BackupRepository
from ganeti.rpc.backup_calls import DescribeRepository, ListBackups
from ganeti.rpc.call import Nodes


class BackupQueries:
    """Answers the queries about backups."""

    def __init__(self, state: Callable[[], ClusterState], nodes: Nodes) -> None:
        self._state = state
        self._nodes = nodes

    async def query_repositories(self) -> list[dict[str, Any]]:
        """Return the repositories without their keys, with their space in bytes.

        ``problem`` says why a repository cannot be used now; it is empty if it can.
        """
        state = self._state()
        return [
            await self._describe(state.backup_repositories[name], state)
            for name in sorted(state.backup_repositories)
        ]

    async def _describe(self, repository: BackupRepository, state: ClusterState) -> dict[str, Any]:
        node = state.nodes.get(repository.node)
        row: dict[str, Any] = {
            "name": repository.name,
            "node": node.name if node is not None else None,
            "path": repository.path,
            "encrypted": bool(repository.key),
            "created": repository.created,
            "size": None,
            "free": None,
            "backups": None,
            "problem": "",
        }
        try:
            if node is None or node.offline:
                raise Failed("its node is offline" if node else "its node is not in the cluster")
            call = DescribeRepository(repository=repository.make_access())
            found = await self._nodes.ask(node, call)
        except GanetiError as e:
            return {**row, "problem": str(e)}
        return {**row, "size": found.size, "free": found.free, "backups": found.backups}

    async def query_backups(
        self, repository: str | None, instance: str | None
    ) -> list[dict[str, Any]]:
        """Return backups, by repository and time.

        :raises Failed: a repository cannot be read.
        """
        state = self._state()
        wanted = (
            sorted(state.backup_repositories)
            if repository is None
            else [find_repository(state, repository).name]
        )
        known = state.find_instance(instance) if instance is not None else None
        rows: list[dict[str, Any]] = []
        for name in wanted:
            each = state.backup_repositories[name]
            node = state.nodes.get(each.node)
            if node is None or node.offline:
                raise Failed(f"repository {name} cannot be read: its node is offline or removed")
            for backup in await self._nodes.ask(node, ListBackups(repository=each.make_access())):
                uuid = known.uuid if known is not None else None
                if instance is None or instance == backup.instance or uuid == backup.uuid:
                    rows.append({"repository": name, **msgspec.to_builtins(backup)})
        return rows

    async def query_key(self, repository: str) -> str:
        """Return the key of a repository; empty if it is not encrypted."""
        return find_repository(self._state(), repository).key
