# SPDX-License-Identifier: BSD-2-Clause
"""The journal tells who changed what."""

from __future__ import annotations

import os

import msgspec

from ganeti.bootstrap.history import checked, history
from ganeti.errors import Refused
from ganeti.journal.frames import digest_of, encode, header
from ganeti.journal.interfaces import (
    BEGINNING,
    ZERO_DIGEST,
    Commit,
    Delete,
    Edit,
    JournalDamaged,
    Put,
)
from tests.bootstrap.host import Host

WEB1 = Put(kind="instance", key="uuid-1", value=msgspec.Raw(b'{"name":"web1"}'))
SERIAL = Put(kind="config", key="meta", value=msgspec.Raw(b"{}"))
GONE = Delete(kind="instance", key="uuid-1")
MOVE = Put(kind="job", key="7", value=msgspec.Raw(b"{}"))


class HistoryTests(Host):
    def written(self, *edits: tuple[Edit, ...]) -> None:
        """Keep a commit for each of ``edits``."""
        frames, digest = [header(BEGINNING)], ZERO_DIGEST
        for number, each in enumerate(edits):
            commit = Commit(at=float(number), who="job", why=f"OP({number})", job=7, edits=each)
            frames.append(encode(commit, digest, 0))
            digest = digest_of(frames[-1])
        os.makedirs(self.paths.journal)
        with open(f"{self.paths.journal}/segment-{1:016}", "wb") as file:
            file.write(b"".join(frames))

    def test_changes_are_told_by_name_even_of_what_is_gone(self) -> None:
        self.written((WEB1, SERIAL, MOVE), (MOVE,), (GONE, SERIAL))
        self.assertEqual(
            list(history(self.paths)),
            [
                {
                    "number": 1,
                    "time": 0.0,
                    "who": "job",
                    "job": 7,
                    "why": "OP(0)",
                    "changed": ["instance web1"],
                },
                {
                    "number": 3,
                    "time": 2.0,
                    "who": "job",
                    "job": 7,
                    "why": "OP(2)",
                    "changed": ["instance web1 (removed)"],
                },
            ],
        )

    def test_everything_includes_the_moves_of_jobs(self) -> None:
        self.written((WEB1, SERIAL, MOVE), (MOVE,))
        rows = history(self.paths, everything=True)
        self.assertEqual(
            [row["changed"] for row in rows], [["instance web1", "config meta", "job 7"], ["job 7"]]
        )

    def test_a_torn_end_is_no_history(self) -> None:
        self.written((WEB1,), (GONE,))
        path = f"{self.paths.journal}/segment-{1:016}"
        os.truncate(path, os.path.getsize(path) - 1)
        self.assertEqual(len(list(history(self.paths))), 1)

    def test_a_chain_is_checked(self) -> None:
        self.written((WEB1,), (MOVE,), (GONE,))
        self.assertEqual(checked(self.paths), {"commits": 3, "first": 1, "last": 3})

    def test_damage_in_the_middle_is_told_with_its_place(self) -> None:
        self.written((WEB1,), (MOVE,), (GONE,))
        with open(f"{self.paths.journal}/segment-{1:016}", "r+b") as file:
            file.seek(-200, os.SEEK_END)
            file.write(b"?")
        with self.assertRaisesRegex(JournalDamaged, "is damaged: the frame at byte"):
            checked(self.paths)

    def test_without_a_journal_it_says_where_there_is_one(self) -> None:
        with self.assertRaisesRegex(Refused, "the master and its candidates have a journal"):
            list(history(self.paths))
