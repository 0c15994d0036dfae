# SPDX-License-Identifier: BSD-2-Clause
"""Queries about repositories: never a key but by the query for it, and problems as such."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.backup_settings import add_repository
from ganeti.errors import Failed, Refused
from ganeti.master.backup_queries import BackupQueries
from ganeti.model.backups import BackupRepository, BackupSummary
from ganeti.rpc.backup_calls import DescribeRepository, ListBackups, RepositoryStatus
from ganeti.testing.builders import a_cluster, an_instance
from ganeti.testing.tools import MemoryTools

KEY = "ab" * 32


def a_summary(number: int, instance: str, uuid: str) -> BackupSummary:
    return BackupSummary(id=f"b{number}", instance=instance, uuid=uuid, cluster="c", created=1)


class BackupQueriesTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = a_cluster(nodes=("node1",), instances=[an_instance("web1")])
        self.uuid = state.instance("web1").uuid
        self.memory = MemoryTools(
            state,
            {
                DescribeRepository: RepositoryStatus(size=9, free=4, backups=2),
                ListBackups: [
                    a_summary(1, "old-name", self.uuid),
                    a_summary(2, "web2", "other"),
                ],
            },
        )
        node = state.node("node1").uuid
        vault = BackupRepository(
            uuid="vault", identity="i", node=node, path="/v", created=0, key=KEY
        )
        self.done(self.memory.change(add_repository(vault)))
        self.queries = BackupQueries(self.memory.state, self.memory.nodes)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_a_repository_is_shown_with_its_space_and_without_its_key(self) -> None:
        [row] = self.done(self.queries.query_repositories())
        found = (row["node"], row["size"], row["free"], row["backups"], row["encrypted"])
        self.assertEqual(found, ("node1", 9, 4, 2, True))
        self.assertNotIn(KEY, str(row))

    def test_one_that_cannot_be_used_says_why(self) -> None:
        self.memory.nodes.answers[DescribeRepository] = Refused("mount its file system")
        [row] = self.done(self.queries.query_repositories())
        self.assertEqual((row["problem"], row["size"]), ("mount its file system", None))

    def test_backups_of_an_instance_are_found_after_a_rename(self) -> None:
        rows = self.done(self.queries.query_backups(None, "web1"))
        self.assertEqual([(row["repository"], row["id"]) for row in rows], [("vault", "b1")])
        self.assertEqual(len(self.done(self.queries.query_backups("vault", None))), 2)

    def test_unknown_repositories_and_silent_nodes_are_errors(self) -> None:
        unknown = Deferred.fromCoroutine(self.queries.query_backups("nope", None))
        self.failureResultOf(unknown, Refused)
        self.memory.nodes.gone.add("node1")
        silent = Deferred.fromCoroutine(self.queries.query_backups("vault", None))
        self.failureResultOf(silent, Failed)

    def test_a_repository_that_cannot_be_read_hides_no_other(self) -> None:
        node = self.memory.state().node("node1").uuid
        other = BackupRepository(uuid="other", identity="j", node=node, path="/o", created=0)
        self.done(self.memory.change(add_repository(other)))

        def answer(name: str, call: ListBackups) -> Any:
            if call.repository.name == "other":
                raise Refused("mount its file system")
            return []

        self.memory.nodes.answers[ListBackups] = answer
        [row] = self.done(self.queries.query_backups(None, "web1"))
        self.assertEqual((row["repository"], row["id"]), ("other", ""))
        self.assertEqual(row["problem"], "mount its file system")

    def test_the_key_is_returned_to_who_asks_for_it(self) -> None:
        self.assertEqual(self.done(self.queries.query_key("vault")), KEY)
