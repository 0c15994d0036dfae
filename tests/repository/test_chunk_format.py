# SPDX-License-Identifier: BSD-2-Clause
"""The files of chunks: what is decoded is what was encoded, or an error says why not."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.repository.chunk_format import CHUNK_SIZE, ChunkCodec, Damaged, fingerprint

KEY = bytes(range(32))


class ChunkCodecTests(SynchronousTestCase):
    @given(st.binary(max_size=5000), st.sampled_from([b"", KEY]))
    def test_a_chunk_is_decoded_as_it_was_encoded(self, data: bytes, key: bytes) -> None:
        codec = ChunkCodec(key)
        digest = codec.name_chunk(data)
        self.assertEqual(codec.decode_chunk(digest, codec.encode_chunk(digest, data)), data)

    @given(st.binary(max_size=300), st.sampled_from([b"", KEY]))
    def test_no_content_of_a_file_makes_it_fail_in_another_way(
        self, content: bytes, key: bytes
    ) -> None:
        for begin in (b"", b"GCHK\x01\x00", b"GCHK\x01\x01", b"GCHK\x01\x03"):
            with self.assertRaises(Damaged):
                ChunkCodec(key).decode_chunk(bytes(32), begin + content)

    def test_names_are_digests_unless_there_is_a_key(self) -> None:
        self.assertEqual(ChunkCodec().name_chunk(b"x"), hashlib.sha256(b"x").digest())
        self.assertNotEqual(ChunkCodec(KEY).name_chunk(b"x"), hashlib.sha256(b"x").digest())

    def test_what_does_not_get_smaller_is_not_compressed(self) -> None:
        codec = ChunkCodec()
        digest = codec.name_chunk(b"abc")
        self.assertTrue(codec.encode_chunk(digest, b"abc").endswith(b"abc"))
        self.assertLess(len(codec.encode_chunk(digest, bytes(CHUNK_SIZE))), 5000)

    def test_a_file_that_would_fill_the_memory_is_refused(self) -> None:
        codec = ChunkCodec()
        bomb = codec.encode_chunk(bytes(32), bytes(4 * CHUNK_SIZE))
        with self.assertRaisesRegex(Damaged, "too long"):
            codec.decode_chunk(bytes(32), bomb)

    def test_the_file_of_another_key_or_name_is_refused(self) -> None:
        codec, other = ChunkCodec(KEY), ChunkCodec(KEY[::-1])
        digest = codec.name_chunk(b"x")
        content = codec.encode_chunk(digest, b"x")
        with self.assertRaisesRegex(Damaged, "another key"):
            other.decode_chunk(digest, content)
        with self.assertRaisesRegex(Damaged, "damaged"):
            codec.decode_chunk(codec.name_chunk(b"y"), content)
        with self.assertRaisesRegex(Damaged, "in another way"):
            ChunkCodec().decode_chunk(digest, content)

    def test_a_fingerprint_identifies_a_key_and_is_no_part_of_it(self) -> None:
        self.assertEqual(fingerprint(b""), "")
        self.assertNotEqual(fingerprint(KEY), fingerprint(KEY[::-1]))
        self.assertNotIn(fingerprint(KEY), KEY.hex())
