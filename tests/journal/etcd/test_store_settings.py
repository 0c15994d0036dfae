# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a state store, as their file has them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.journal.etcd.store_settings import StateStore, encode_settings, prefix_of, read_settings
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = "/state-store.json"
SETTINGS = StateStore(endpoints=("https://192.0.2.1:2379",), prefix=prefix_of("uuid"))


class SettingsTests(SynchronousTestCase):
    def read(self, content: bytes) -> StateStore | None:
        disk = MemoryDisk()
        disk.put(PATH, content, 0o640, 0.0)
        return read_settings(MemoryFiles(disk), PATH)

    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(self.read(encode_settings(SETTINGS)), SETTINGS)

    def test_without_a_file_the_state_is_in_files(self) -> None:
        self.assertIsNone(read_settings(MemoryFiles(MemoryDisk()), PATH))

    def test_a_file_that_is_damaged_is_not_guessed_at(self) -> None:
        whole = encode_settings(SETTINGS)
        for content in (
            whole[:-9],
            whole.replace(b"https", b"http"),
            whole.replace(b"etcd", b"dbm"),
            whole.replace(b"/ganeti/uuid/", b"/ganeti/uuid"),
            whole.replace(b'"https://192.0.2.1:2379"', b""),
        ):
            with self.assertRaisesRegex(Failed, "copy it from another master candidate"):
                self.read(content)
