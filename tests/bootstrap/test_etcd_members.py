# SPDX-License-Identifier: BSD-2-Clause
"""The command lines and certificates of members of etcd."""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.etcd_members import EtcdMember, issue_certificates

FIRST = EtcdMember("m1", "192.0.2.1", "/etcd")
SECOND = EtcdMember("m2", "2001:db8::2", "/etcd")


class MemberTests(SynchronousTestCase):
    def test_members_know_each_other_and_admit_nobody_without_a_certificate(self) -> None:
        command = FIRST.command([FIRST, SECOND])
        peers = "m1=https://192.0.2.1:2380,m2=https://[2001:db8::2]:2380"
        for option in (
            f"--initial-cluster={peers}",
            "--initial-cluster-state=new",
            "--listen-client-urls=https://192.0.2.1:2379",
            "--client-cert-auth",
            "--peer-client-cert-auth",
        ):
            self.assertIn(option, command)

    def test_one_that_is_added_joins_those_that_there_are(self) -> None:
        self.assertIn("--initial-cluster-state=existing", SECOND.command([SECOND], new=False))

    def test_certificates_name_the_address_from_which_a_member_connects(self) -> None:
        local = EtcdMember("m3", "127.1.2.3", "/etcd")
        issued = issue_certificates("c", [FIRST, local], 1.7e9)
        for member, addresses in ((FIRST, ["192.0.2.1"]), (local, ["127.1.2.3", "127.0.0.1"])):
            [found] = x509.load_pem_x509_certificates(
                issued.members[member.name].partition(b"-----BEGIN CERT")[1]
                + issued.members[member.name].partition(b"-----BEGIN CERT")[2]
            )
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self.assertEqual(
                [str(each) for each in names.get_values_for_type(x509.IPAddress)], addresses
            )
