# SPDX-License-Identifier: BSD-2-Clause
"""Queries about repositories, backups and schedules; what is in a repository, its node is asked."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError
from ganeti.model.backups import BackupRepository, BackupSummary
from ganeti.rpc.backup_calls import DescribeRepository, ListBackups
from ganeti.rpc.call import Nodes
from ganeti.schema.documents import Document
from ganeti.schema.records import list_all_fields


class BackupQueries:
    """Answers the queries about backups."""

    def __init__(self, state: Callable[[], ClusterState], nodes: Nodes) -> None:
        self._state = state
        self._nodes = nodes

    async def query_repositories(self) -> list[Document]:
        """Return the repositories without their keys, with their space in bytes.

        ``problem`` says why a repository cannot be used now; it is empty if it can.
        """
        state = self._state()
        return [
            await self._describe(state.backup_repositories[name], state)
            for name in sorted(state.backup_repositories)
        ]

    async def _describe(self, repository: BackupRepository, state: ClusterState) -> Document:
        node = state.nodes.get(repository.node)
        row: Document = {
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

    async def query_backups(self, repository: str | None, instance: str | None) -> list[Document]:
        """Return backups, by repository and time.

        Of all repositories, one that cannot be read has a row with its problem and no ID.

        :raises Failed: the named repository cannot be read.
        """
        state = self._state()
        wanted = (
            sorted(state.backup_repositories)
            if repository is None
            else [find_repository(state, repository).name]
        )
        known = state.find_instance(instance) if instance is not None else None
        rows: list[Document] = []
        for name in wanted:
            try:
                found = await self._list_backups(state.backup_repositories[name], state)
            except GanetiError as e:
                if repository is not None:
                    raise
                # It must not hide the backups in others.
                problem = _format_problem(str(e))
                rows.append({"repository": name, **list_all_fields(problem)})
                continue
            uuid = known.uuid if known is not None else None
            rows += [
                {"repository": name, **list_all_fields(each)}
                for each in found
                if instance in (None, each.instance) or uuid == each.uuid
            ]
        return rows

    async def _list_backups(
        self, repository: BackupRepository, state: ClusterState
    ) -> list[BackupSummary]:
        node = state.nodes.get(repository.node)
        if node is None or node.offline:
            raise Failed(
                f"repository {repository.name} cannot be read: its node is offline or removed"
            )
        return await self._nodes.ask(node, ListBackups(repository=repository.make_access()))

    async def query_key(self, repository: str) -> str:
        """Return the key of a repository; empty if it is not encrypted."""
        return find_repository(self._state(), repository).key


def _format_problem(why: str) -> BackupSummary:
    return BackupSummary(id="", instance="", uuid="", cluster="", created=0, problem=why)
