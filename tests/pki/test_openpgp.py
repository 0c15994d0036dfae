# SPDX-License-Identifier: BSD-2-Clause
"""OpenPGP keys and signed lists of digests, as values."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Refused
from ganeti.pki.openpgp import find_checksum, read_status, remove_armor, signed_url

SHA256, SHA512 = "ab" * 32, "cd" * 64
VALID = f"VALIDSIG {'A' * 40} 2026-01-01 1 0 4 0 1 10 00 {'B' * 40}"


def armored(key: bytes, headers: str = "") -> str:
    body = base64.encodebytes(key).decode()
    kind = "PGP PUBLIC KEY BLOCK"
    return f"-----BEGIN {kind}-----\n{headers}\n{body}=abcd\n-----END {kind}-----\n"


def status(*lines: str) -> str | None:
    return read_status("".join(f"[GNUPG:] {line}\n" for line in lines).encode())


class ArmorTests(SynchronousTestCase):
    @given(st.binary(min_size=1, max_size=300))
    def test_keys_lose_their_armor(self, key: bytes) -> None:
        self.assertEqual(remove_armor(armored(key, "Version: 2\n") + armored(key)), key * 2)

    def test_what_has_none_is_no_key(self) -> None:
        for text in ("", "hello", armored(b"x").replace("PUBLIC", "PRIVATE"), armored(b"")):
            with self.assertRaisesRegex(Invalid, "must be an OpenPGP public key in ASCII armor"):
                remove_armor(text)

    def test_a_damaged_key_is_none(self) -> None:
        with self.assertRaises(Invalid):
            remove_armor(armored(b"hello").replace("aGVs", "a!Vs"))


class StatusTests(SynchronousTestCase):
    def test_a_valid_signature_names_the_primary_key(self) -> None:
        self.assertEqual(status("NEWSIG", "GOODSIG 1 Me", VALID), "B" * 40)

    def test_a_second_signature_by_an_unknown_key_does_not_matter(self) -> None:
        unknown = ("ERRSIG 1 1 10 00 1 9", "NO_PUBKEY 1")
        self.assertEqual(status(*unknown, "GOODSIG 1 Me", VALID), "B" * 40)
        self.assertEqual(status("GOODSIG 1 Me", VALID, *unknown), "B" * 40)

    def test_a_wrong_one_of_a_known_key_counts(self) -> None:
        self.assertIsNone(status("GOODSIG 1 Me", VALID, "BADSIG 2 You"))

    def test_keys_that_have_expired_or_were_revoked_do_not_count(self) -> None:
        for word in ("EXPKEYSIG", "REVKEYSIG", "EXPSIG"):
            self.assertIsNone(status(f"{word} 1 Me", VALID), word)

    def test_nothing_is_not_valid(self) -> None:
        self.assertIsNone(read_status(b""))
        self.assertIsNone(read_status(f"gpgv: GOODSIG 1 x\n{VALID}\n".encode()))


class ListTests(SynchronousTestCase):
    def test_both_forms_of_lists_are_read(self) -> None:
        text = f"{SHA256} *disk.qcow2\n{SHA512}  ./other disk\nSHA256 (third) = {SHA256}\n"
        self.assertEqual(find_checksum(text, "disk.qcow2"), f"sha256:{SHA256}")
        self.assertEqual(find_checksum(text, "other disk"), f"sha512:{SHA512}")
        self.assertEqual(find_checksum(text, "third"), f"sha256:{SHA256}")

    def test_an_image_that_is_not_in_it_is_refused_with_what_is(self) -> None:
        with self.assertRaisesRegex(Refused, "no SHA-256 or SHA-512 digest of disk; .*: other$"):
            find_checksum(f"Hello\n{'ab' * 20}  disk\n{SHA256}  other\n", "disk")

    @given(st.text())
    def test_no_text_crashes_it(self, text: str) -> None:
        self.assertRaises(Refused, find_checksum, text, "\n")


class SignedFileTests(SynchronousTestCase):
    def test_a_detached_signature_is_beside_what_it_signs(self) -> None:
        for suffix in (".gpg", ".sign", ".asc", ".sig"):
            self.assertEqual(signed_url(f"https://x/SHA256SUMS{suffix}"), "https://x/SHA256SUMS")

    def test_another_name_does_not_tell(self) -> None:
        with self.assertRaisesRegex(Refused, "does not end with one of .gpg"):
            signed_url("https://x/signature")
