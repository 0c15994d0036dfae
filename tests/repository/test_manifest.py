# SPDX-License-Identifier: BSD-2-Clause
"""Manifests: read as written, in lists without their chunks, and refused if anything differs."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.backups import BackupSummary, StoredDisk
from ganeti.repository.chunk_format import ChunkCodec, Damaged
from ganeti.repository.manifest import (
    BackupDescription,
    Manifest,
    decode,
    encode,
    head_size,
    read_description,
)

KEY = bytes(range(32))
SUMMARY = BackupSummary(
    id="b1",
    instance="web1",
    uuid="u1",
    cluster="c1",
    created=7,
    disks=(StoredDisk(name="disk/0", size=2 << 20),),
)
MANIFEST = Manifest(
    BackupDescription(summary=SUMMARY, description="[export]\nname = web1\n"),
    ((b"1" * 32, bytes(32)),),
)


class ManifestTests(SynchronousTestCase):
    def test_a_manifest_is_read_as_it_was_written(self) -> None:
        for codec in (ChunkCodec(), ChunkCodec(KEY)):
            content = encode(MANIFEST, codec)
            self.assertEqual(decode("b1", content, codec), MANIFEST)

    def test_a_list_needs_only_the_begin_of_it(self) -> None:
        content = encode(MANIFEST, ChunkCodec())
        begin = content[: head_size(content)]
        self.assertLess(len(begin), len(content))
        self.assertEqual(read_description("b1", begin, ChunkCodec()), MANIFEST.description)

    @given(st.data(), st.sampled_from([b"", KEY]))
    def test_any_changed_byte_is_noticed(self, data: st.DataObject, key: bytes) -> None:
        codec = ChunkCodec(key)
        content = bytearray(encode(MANIFEST, codec))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        # Some bytes of the first line have no meaning, such as the quotation marks of names.
        with contextlib.suppress(Damaged):
            self.assertEqual(decode("b1", bytes(content), codec), MANIFEST)

    def test_that_of_another_backup_is_refused(self) -> None:
        with self.assertRaisesRegex(Damaged, "that of backup b1"):
            read_description("b2", encode(MANIFEST, ChunkCodec()), ChunkCodec())
        with self.assertRaisesRegex(Damaged, "another key"):
            read_description("b2", encode(MANIFEST, ChunkCodec(KEY)), ChunkCodec(KEY))
