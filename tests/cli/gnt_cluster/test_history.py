# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster history`` reads the journal on this node, or asks the master about users."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.history import history
from ganeti.journal.frames import digest_of, encode, header
from ganeti.journal.interfaces import BEGINNING, ZERO_DIGEST, Commit, Put
from ganeti.luxi.methods import QueryHistory
from ganeti.paths import Paths
from tests.cli.terminal import NOW, Terminal, arguments, in_utc


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))
        web1 = Put(kind="instance", key="uuid-1", value=msgspec.Raw(b'{"name":"web1"}'))
        frames, digest = [header(BEGINNING)], ZERO_DIGEST
        for who, job, edits in (("job", 7, (web1,)), ("masterd", None, (web1,))):
            commit = Commit(at=NOW, who=who, why="OP_NAME(web1)", job=job, edits=edits)
            frames.append(encode(commit, digest, 0))
            digest = digest_of(frames[-1])
        os.makedirs(self.terminal.paths.journal)
        Path(f"{self.terminal.paths.journal}/segment-{1:016}").write_bytes(b"".join(frames))

    def shown(self, *words: str) -> str:
        code = self.terminal.run(GNT_CLUSTER, "history", *words)
        self.assertEqual(code, 0, self.terminal.err)
        return self.terminal.out

    def test_each_change_is_a_line_that_says_who_and_why(self) -> None:
        self.assertEqual(
            self.shown(),
            "       1 2023-11-14 22:13:20 job 7: OP_NAME(web1): instance web1\n"
            "       2 2023-11-14 22:13:20 masterd: OP_NAME(web1): instance web1\n",
        )

    def test_only_the_last_ones_may_be_shown(self) -> None:
        self.assertEqual(self.shown("-n", "1"), self.shown().splitlines(True)[1])
        rows = json.loads(self.shown("-n", "5", "-o", "json"))
        self.assertEqual([(row["number"], row["job"]) for row in rows], [(1, 7), (2, None)])

    def test_a_chain_that_is_whole_is_told_so(self) -> None:
        told = "Journal: 2 commits, 1 to 2; each has the digest of its predecessor"
        self.assertEqual(self.shown("--check").replace("'", ""), f"{told}\n")

    def test_none_of_the_last_ones_is_nothing(self) -> None:
        for last in (0, -1):
            code = self.terminal.call(partial(history, arguments=arguments("history", last=last)))
            self.assertEqual((code, self.terminal.out), (0, ""))

    def test_a_check_is_told_to_programs(self) -> None:
        chain = json.loads(self.shown("--check", "-o", "json"))
        self.assertEqual((chain["commits"], chain["first"], chain["last"]), (2, 1, 2))

    def test_a_journal_that_was_changed_is_a_failure(self) -> None:
        path = Path(f"{self.terminal.paths.journal}/segment-{1:016}")
        path.write_bytes(path.read_bytes().replace(b"web1", b"web2", 1))
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "history", "--check"), 1)

    def test_the_files_are_read_without_the_master(self) -> None:
        self.shown()
        self.assertEqual(self.terminal.asked(), [])

    def test_what_is_about_users_is_asked_of_the_master(self) -> None:
        self.terminal.canned[QueryHistory] = []
        self.shown("--user", "ann", "-n", "7")
        self.assertEqual(self.terminal.asked(), [QueryHistory(user="ann", limit=7)])
