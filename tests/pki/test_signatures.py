# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Refused
from ganeti.pki.authority import Authority
from ganeti.pki.signatures import DomainSecret

SECRET = DomainSecret.read(b"a secret of two clusters\n")
SALT = "0123456789abcdef"
PEM = Authority.founded("cluster1", 1_700_000_000).certificate.decode()


class SignatureTests(SynchronousTestCase):
    def test_the_signature_is_the_one_that_other_clusters_make(self) -> None:
        # From RFC 2202, the second test case, with its text cut into salt and rest.
        secret = DomainSecret(b"Jefe")
        signature = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        self.assertEqual(secret.sign("do ya want for nothing?", "what "), signature)
        self.assertTrue(secret.check("do ya want for nothing?", "what ", signature.upper()))

    @given(st.text(), st.text(alphabet="0123456789abcdef"), st.text(max_size=40))
    def test_only_the_right_signature_is_accepted(
        self, text: str, salt: str, signature: str
    ) -> None:
        right = SECRET.sign(text, salt)
        self.assertEqual(SECRET.check(text, salt, signature), signature.lower() == right)

    def test_the_secret_does_not_print_itself(self) -> None:
        self.assertNotIn("secret of", f"{SECRET!r} {SECRET}")


class CertificateTests(SynchronousTestCase):
    def test_a_signed_certificate_comes_back_as_it_was(self) -> None:
        signed = SECRET.sign_certificate(PEM, SALT)
        self.assertTrue(signed.startswith(f"X-Ganeti-Signature: {SALT}/"))
        self.assertEqual(SECRET.check_certificate(signed), PEM)

    def test_the_signature_does_not_depend_on_line_ends(self) -> None:
        signed = SECRET.sign_certificate(PEM.replace("\n", "\r\n"), SALT)
        self.assertEqual(SECRET.check_certificate("\n" + signed.replace("\n", "\r\n")), PEM)

    def test_another_clusters_secret_is_noticed(self) -> None:
        signed = DomainSecret(b"another").sign_certificate(PEM, SALT)
        with self.assertRaisesRegex(Refused, "both clusters must have the same one"):
            SECRET.check_certificate(signed)

    def test_a_certificate_without_signature_or_none_at_all_is_invalid(self) -> None:
        self.assertRaises(Invalid, SECRET.check_certificate, PEM)
        self.assertRaises(Invalid, SECRET.sign_certificate, "nonsense", SALT)

    @given(st.text())
    def test_nonsense_is_invalid(self, text: str) -> None:
        self.assertRaises(Invalid, SECRET.check_certificate, text)
