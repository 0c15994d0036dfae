# SPDX-License-Identifier: BSD-2-Clause
"""What a move of the state to the store needs from the master's host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.store.state_store import LocalMoveTools, stay_in_files
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.errors import Refused
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles

SETTINGS = StateStore(endpoints=("https://192.0.2.1:2379",), prefix="/ganeti/1/")


class Shared:
    """The files that candidates get."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    async def read(self) -> Sequence[AncillaryFile]:
        return [AncillaryFile(path, b"", 0o600) for path in self._paths]


class MoveToolsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.paths = MemoryDisk(), Paths("/trial")
        self.disk.add_folder(self.paths.data, 0o755)
        self.settled = 0
        store = self.paths.state_store.removeprefix("/trial")
        unused: Any = None
        self.tools = LocalMoveTools(
            Clock(),
            MemoryFiles(self.disk),
            self.paths,
            "node1",
            unused,
            Shared(store, "/var/lib/ganeti/rapi.pem"),
            unused,
            self.settle,
            StoreClients(),
        )

    async def settle(self) -> None:
        self.settled += 1

    def test_a_move_needs_settings_that_say_how_to_reach_the_store(self) -> None:
        with self.assertRaisesRegex(Refused, "which says how to reach etcd"):
            self.tools.settings()

    def test_settings_of_a_store_that_the_state_has_left_can_be_used_again(self) -> None:
        left = msgspec.structs.replace(SETTINGS, kind="file")
        self.successResultOf(self.tools.save(left))
        self.assertEqual(self.tools.settings(), left)

    def test_candidates_get_only_the_files_of_the_store(self) -> None:
        [file] = self.successResultOf(self.tools.files())
        self.assertEqual(file.path, self.paths.state_store.removeprefix("/trial"))

    def test_uploads_are_waited_for(self) -> None:
        self.successResultOf(self.tools.wait_for_settings())
        self.assertEqual(self.settled, 1)

    def test_a_state_that_was_always_in_files_has_no_move_to_undo(self) -> None:
        files = MemoryFiles(self.disk)
        self.successResultOf(stay_in_files(Clock(), files, self.paths, "node1"))
        self.assertEqual(files.names(self.paths.data), [])
