# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Refused
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import (
    Invitation,
    certificates,
    check_token,
    derive_secret,
    encode_token,
    read_token,
    select_pinned,
)

INVITATION = Invitation(
    cluster="cluster1",
    node="node2",
    names=("node2", "192.0.2.2"),
    master="node1",
    address="192.0.2.1",
    port=1811,
    authority="ab" * 32,
    until=1000,
    nonce="0123",
)
SECRET = derive_secret(b"a key", b"")


class TokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.token = encode_token(INVITATION, SECRET)

    def test_a_token_is_one_word_that_says_what_was_put_in(self) -> None:
        self.assertRegex(self.token, r"\A[\w.-]+\Z")
        self.assertEqual(read_token(self.token), INVITATION)
        self.assertEqual(check_token(self.token, SECRET, 999), INVITATION)

    def test_a_token_ends(self) -> None:
        with self.assertRaisesRegex(Refused, "has expired; create a new one"):
            check_token(self.token, SECRET, 1000)

    def test_a_token_of_another_cluster_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "not created by this cluster"):
            check_token(self.token, derive_secret(b"another key", b""), 1)

    @given(st.integers(min_value=0), st.characters(min_codepoint=33, max_codepoint=126))
    def test_a_changed_token_is_never_accepted(self, place: int, letter: str) -> None:
        token = encode_token(INVITATION, SECRET)
        place %= len(token)
        changed = token[:place] + letter + token[place + 1 :]
        # Unused bits of a part's last letter may differ; what the token says may not.
        with contextlib.suppress(Invalid, Refused):
            self.assertEqual(check_token(changed, SECRET, 1), INVITATION)

    def test_only_the_authorities_that_the_token_names_are_trusted(self) -> None:
        new, old, foreign = (Authority.founded("cluster1", 0) for _ in range(3))
        invitation = msgspec.structs.replace(
            INVITATION, authority=new.fingerprint, other_authorities=(old.fingerprint,)
        )
        for sent, trusted in (
            ((new, old), (new, old)),
            ((new, foreign), (new,)),
            ((foreign,), ()),
        ):
            bundle = b"".join(each.certificate for each in sent)
            wanted = tuple(each.certificate.decode() for each in trusted)
            self.assertEqual(select_pinned(bundle, invitation), wanted)

    def test_certificates_are_found_beside_a_key(self) -> None:
        authority = Authority.founded("cluster1", 0)
        found = certificates(authority.key + authority.certificate)
        self.assertEqual(found, (authority.certificate.decode(),))

    @given(st.text())
    def test_nonsense_is_no_token(self, text: str) -> None:
        self.assertRaises(Invalid, read_token, text)
