# SPDX-License-Identifier: BSD-2-Clause
"""The master starts from its files, unless its state is in a store."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.master_services.opened_state import OpenedState, open_state
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.errors import Failed
from ganeti.journal.etcd.store_settings import StateStore, encode_settings
from ganeti.journal.interfaces import Commit
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles

OPTIONS = Namespace(take_over=False, take_vacant_role=False)


class OpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.paths, self.clock = MemoryDisk(), Paths(), Clock()
        for folder in (self.paths.data, self.paths.run):
            self.disk.add_folder(folder, 0o755)
        files: Any = MemoryFiles(self.disk)
        self.host = MasterHost(
            reactor=self.clock,
            name="node1",
            paths=self.paths,
            files=files,
            processes=None,  # type: ignore[arg-type]  # nothing here starts one
            stores=StoreClients(),
            lost=lambda _: None,
        )

    def put_settings(self, content: bytes) -> None:
        self.disk.put(self.paths.state_store, content, 0o400, 0.0)

    def settings(self, **over: Any) -> bytes:
        fields: dict[str, Any] = {
            "endpoints": ("https://192.0.2.1:2379",),
            "prefix": "/ganeti/uuid/",
        }
        return encode_settings(StateStore(**{**fields, **over}))

    def open(self) -> OpenedState:
        opened: OpenedState = self.successResultOf(open_state(self.host, OPTIONS))
        return opened

    def test_without_settings_of_a_store_the_journal_is_that_of_the_files(self) -> None:
        opened = self.open()
        self.assertIs(opened.store, None)
        self.assertEqual(opened.journal.last_commit(), 0)

    def test_what_an_earlier_master_has_committed_is_there(self) -> None:
        commit = Commit(at=1.0, who="test", why="OP_X", job=7, edits=())
        appending = Deferred.fromCoroutine(self.open().journal.append(commit))
        self.clock.advance(0)
        self.successResultOf(appending)
        journal = self.open().journal
        self.assertEqual(journal.last_commit(), 1)
        self.assertEqual([each.job for _, each in journal.replay(0)], [7])

    def test_settings_of_a_store_that_is_not_in_use_are_no_reason_to_use_it(self) -> None:
        self.put_settings(self.settings(kind="file"))
        self.assertIs(self.open().store, None)

    def test_settings_that_cannot_be_read_are_not_ignored(self) -> None:
        self.put_settings(b"{")
        self.failureResultOf(open_state(self.host, OPTIONS), Failed)

    def test_a_store_without_a_certificate_cannot_be_used(self) -> None:
        self.put_settings(self.settings(kind="etcd"))
        self.failureResultOf(open_state(self.host, OPTIONS), Failed)
