# SPDX-License-Identifier: BSD-2-Clause
"""A checkpoint in etcd is read as it was written, or refused with what to do."""

from __future__ import annotations

import zlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed
from ganeti.journal.etcd.checkpoint_archive import pack, unpack


class ArchiveTests(SynchronousTestCase):
    @given(st.dictionaries(st.text(max_size=9), st.binary(max_size=99), max_size=9))
    def test_files_come_back_as_they_were(self, files: dict[str, bytes]) -> None:
        self.assertEqual(unpack(pack(files)), files)

    @given(st.binary(max_size=99))
    def test_no_data_crashes_the_reader(self, data: bytes) -> None:
        with self.assertRaisesRegex(Failed, "the checkpoint in etcd cannot be read"):
            unpack(data)

    def test_damage_is_found_anywhere(self) -> None:
        data = pack({"config.data": b"x" * 100})
        for cut in (1, len(data) // 2, len(data) - 1):
            with self.assertRaises(Failed):
                unpack(data[:cut])

    def test_another_form_is_refused(self) -> None:
        for document in ([1], {"files": {"a": 1}}, {"version": 1}, {"files": {}, "more": 1}):
            with self.assertRaisesRegex(Failed, "cannot be read") as caught:
                unpack(zlib.compress(msgspec.msgpack.encode(document)))
            self.assertEqual(caught.exception.code, Code.ENVIRONMENT)

    def test_a_checkpoint_of_a_later_release_says_so(self) -> None:
        data = zlib.compress(msgspec.msgpack.encode({"files": {}, "version": 2}))
        with self.assertRaisesRegex(Failed, "by a later release; run that release, or a newer"):
            unpack(data)

    def test_json_becomes_much_smaller(self) -> None:
        self.assertLess(len(pack({"a": b'{"name": "web1"}' * 1000})), 1000)
