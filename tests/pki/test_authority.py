# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Invalid
from ganeti.pki.authority import Authority, create_request

NOW = 1_700_000_000.0


class AuthorityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.authority = Authority.founded("cluster1", NOW)

    def test_a_node_certificate_is_for_its_names_and_addresses_and_both_ends(self) -> None:
        issued = self.authority.credentials(["node1.example.com", "192.0.2.1"], NOW).certificate
        certificate = x509.load_pem_x509_certificate(issued)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=node1.example.com")
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["node1.example.com"])
        self.assertEqual(list(map(str, names.get_values_for_type(x509.IPAddress))), ["192.0.2.1"])
        self.assertEqual(len(list(usage)), 2)

    def test_an_authority_is_the_same_after_it_was_stored(self) -> None:
        again = Authority.loaded(self.authority.certificate, self.authority.key)
        self.assertEqual(again.fingerprint, self.authority.fingerprint)

    def test_a_key_of_another_authority_is_noticed(self) -> None:
        other = Authority.founded("cluster1", NOW)
        self.assertRaises(Failed, Authority.loaded, self.authority.certificate, other.key)

    def test_a_damaged_authority_is_a_clear_failure(self) -> None:
        self.assertRaises(Failed, Authority.loaded, b"nonsense", self.authority.key)

    def test_a_request_is_granted_for_the_names_that_we_say(self) -> None:
        _, request = create_request("somebody.else")
        granted = x509.load_pem_x509_certificate(self.authority.grant(request, ["node2"], NOW))
        self.assertEqual(granted.subject.rfc4514_string(), "CN=node2")

    def test_nonsense_is_no_request(self) -> None:
        self.assertRaises(Invalid, self.authority.grant, b"nonsense", ["node2"], NOW)

    def test_two_authorities_have_two_fingerprints_and_two_names(self) -> None:
        other = Authority.founded("cluster1", NOW)
        self.assertNotEqual(other.fingerprint, self.authority.fingerprint)
        both = [x509.load_pem_x509_certificate(a.certificate) for a in (other, self.authority)]
        self.assertNotEqual(both[0].subject, both[1].subject)

    def test_of_several_trusted_authorities_the_one_whose_key_is_there_issues(self) -> None:
        other = Authority.founded("cluster1", NOW)
        bundle = other.certificate + self.authority.certificate
        loaded = Authority.loaded(bundle, self.authority.key)
        self.assertEqual(loaded.certificate, self.authority.certificate)
        issued = x509.load_pem_x509_certificate(loaded.credentials(["node1"], NOW).certificate)
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(loaded.certificate))

    def test_certificates_of_all_trusted_authorities_are_the_clusters_own(self) -> None:
        other, foreign = (Authority.founded("cluster1", NOW) for _ in range(2))
        loaded = Authority.loaded(other.certificate + self.authority.certificate, other.key)
        for authority, ours in ((other, True), (self.authority, True), (foreign, False)):
            self.assertIs(loaded.has_issued(authority.credentials(["rapi"], NOW).pem), ours)
