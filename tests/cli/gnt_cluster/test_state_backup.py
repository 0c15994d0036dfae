# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster backup-state`` and ``restore-state``: what is refused before anything is changed.

What they do with etcd is tested with ``ganeti.bootstrap.store_backup``.
"""

from __future__ import annotations

import os
import zlib
from hashlib import sha256
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import write_ssconf
from ganeti.bootstrap.store_access import StoreAccess, write_store_access
from ganeti.bootstrap.store_backup import MAGIC, StoreBackup
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.state_backup import back_up_state, restore_state
from ganeti.cli.session import FAILURE, NOT_CONFIRMED
from ganeti.errors import Failed, Refused
from ganeti.paths import Paths
from tests.cli.terminal import NOW, Terminal, arguments, in_utc


class BackupCase(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, self.paths.run):
            os.makedirs(folder)
        write_ssconf(self.paths, {"master_candidates": "node1"})
        access = StoreAccess(("https://127.0.0.1:1",), b"", b"")
        write_store_access(self.paths, access, "uuid")
        self.file = os.path.abspath(self.mktemp())
        self.terminal = Terminal(paths=self.paths)

    def write_backup(self, cluster: str = "/ganeti/uuid/") -> None:
        backup = StoreBackup(cluster=cluster, release="1", taken_at=NOW, keys={"head": b"{}"})
        content = zlib.compress(msgspec.msgpack.encode(backup))
        digest = sha256(content).hexdigest().encode("ascii")
        Path(self.file).write_bytes(MAGIC + digest + b"\n" + content)


class BackUpTests(BackupCase):
    def back_up(self) -> int:
        return self.terminal.run(GNT_CLUSTER, "backup-state", self.file)

    def test_state_in_files_is_backed_up_by_copying_them(self) -> None:
        os.unlink(self.paths.state_store)
        with self.assertRaisesRegex(Refused, f"copy {self.paths.data} of the master"):
            self.terminal.call(lambda it: back_up_state(it, arguments(file=self.file)))

    def test_a_file_that_exists_is_not_overwritten(self) -> None:
        self.write_backup()
        before = Path(self.file).read_bytes()
        self.assertEqual(self.back_up(), FAILURE)
        self.assertEqual(Path(self.file).read_bytes(), before)


class RestoreTests(BackupCase):
    def restore(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "restore-state", *words, self.file)

    def question(self, *words: str) -> str:
        """The question of the command; it is answered by no."""
        self.write_backup()
        self.terminal.answers = ["no"]
        self.assertEqual(self.restore(*words), FAILURE)
        self.assertIn("not confirmed; nothing was changed", self.terminal.err)
        [question] = self.terminal.questions
        return question

    def test_the_question_says_what_is_lost(self) -> None:
        lost = "All changes since 2023-11-14 22:13:20, when the backup was made, are lost:"
        wanted = f"{lost} jobs, instances and nodes. Restore it? y[es]/[n]o: "
        self.assertEqual(self.question(), wanted)

    def test_with_new_members_it_says_that_the_present_ones_go(self) -> None:
        question = self.question("--new-members")
        self.assertIn("The present members of etcd are given up. Restore it?", question)

    def test_a_file_that_is_no_backup_is_refused_without_a_question(self) -> None:
        Path(self.file).write_bytes(b"something else")
        with self.assertRaisesRegex(Failed, "is not a backup of the state of a cluster"):
            self.terminal.call(lambda it: restore_state(it, arguments(file=self.file)))

    def test_a_backup_of_another_cluster_is_refused_whatever_is_confirmed(self) -> None:
        self.write_backup("/ganeti/other/")
        self.assertEqual(self.restore("--yes-do-it"), FAILURE)
        self.assertIn("the backup belongs to another cluster", self.terminal.err)

    def test_without_a_terminal_the_option_is_named(self) -> None:
        self.write_backup()
        self.assertEqual(self.restore(), NOT_CONFIRMED)
        self.assertIn("use --yes-do-it to skip the confirmation", self.terminal.err)
