# SPDX-License-Identifier: BSD-2-Clause
"""The first member of a state store that a cluster runs itself, and later certificates."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.x509 import Certificate, SubjectAlternativeName, load_pem_x509_certificate
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.own_members import (
    create_own_store,
    introduce_authority,
    list_issuers,
    main,
    write_own_store,
)
from ganeti.errors import Invalid, Refused
from ganeti.journal.etcd.member_files import authority_file, certificate_file, settings_file
from ganeti.journal.etcd.store_settings import read_last_settings
from ganeti.node.store_member import read_member
from ganeti.paths import Paths
from ganeti.pki.enrolment import certificates, fingerprint


def certificate_in(pem: bytes) -> Certificate:
    return load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :])


def names_in(pem: bytes) -> set[str]:
    """The names and addresses that a certificate is for."""
    found = certificate_in(pem).extensions.get_extension_for_class(SubjectAlternativeName).value
    return {str(each.value) for each in found}


class MemberCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)

    def found(self, *, in_use: bool = True) -> None:
        own = create_own_store(self.paths, "c", "node1", "192.0.2.1")
        write_own_store(self.paths, own, "uuid", in_use=in_use)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()


class FirstMemberTests(MemberCase):
    def test_the_first_member_founds_the_store(self) -> None:
        self.found()
        member = read_member(local_files(), self.paths.store_member)
        assert member is not None
        self.assertEqual((member.name, member.address), ("node1", "192.0.2.1"))
        self.assertEqual([each.name for each in member.peers], ["node1"])
        self.assertTrue(member.founds)

    def test_masters_reach_it_at_its_address(self) -> None:
        self.found(in_use=False)
        settings = read_last_settings(local_files(), self.paths.state_store)
        assert settings is not None
        self.assertEqual(settings.endpoints, ("https://192.0.2.1:2379",))
        self.assertEqual((settings.kind, settings.own_members), ("file", True))

    def test_keys_can_be_read_by_root_only(self) -> None:
        self.found()
        folder = self.paths.store_member
        for path, mode in (
            (self.paths.store_authority_key, 0o400),
            (self.paths.store_certificate, 0o400),
            (certificate_file(folder), 0o600),
            (folder, 0o700),
        ):
            self.assertEqual(os.stat(path).st_mode & 0o777, mode, path)

    def test_what_is_left_of_an_earlier_member_is_removed(self) -> None:
        self.found()
        old = self.read(self.paths.store_authority)
        data = Path(self.paths.store_member, "data")
        data.write_text("of the old store")
        self.found()
        self.assertFalse(data.exists())
        self.assertNotEqual(self.read(self.paths.store_authority), old)
        self.assertEqual(
            self.read(authority_file(self.paths.store_member)),
            self.read(self.paths.store_authority),
        )
        self.assertTrue(os.path.exists(settings_file(self.paths.store_member)))


class ProgramTests(MemberCase):
    """The program that the master runs, so that it does not have the key itself."""

    def test_a_further_member_gets_a_certificate_of_the_authority(self) -> None:
        self.found()
        pem = main(["member", "node2", "192.0.2.2"], self.paths)
        self.assertIn(b"PRIVATE KEY", pem)
        self.assertLessEqual({"192.0.2.2"}, names_in(pem))
        authority = certificate_in(self.read(self.paths.store_authority))
        certificate_in(pem).verify_directly_issued_by(authority)

    def test_the_certificate_of_masters_is_replaced(self) -> None:
        self.found()
        old = self.read(self.paths.store_certificate)
        self.assertEqual(main(["client"], self.paths), b"")
        new = self.read(self.paths.store_certificate)
        self.assertNotEqual(new, old)
        self.assertEqual(os.stat(self.paths.store_certificate).st_mode & 0o777, 0o400)
        authority = certificate_in(self.read(self.paths.store_authority))
        certificate_in(new).verify_directly_issued_by(authority)

    def test_another_command_is_refused(self) -> None:
        for words in ([], ["member"], ["member", "node2"], ["client", "x"], ["authority"]):
            with self.assertRaisesRegex(Invalid, "unknown command"):
                main(words, self.paths)

    def test_without_a_store_there_is_no_authority(self) -> None:
        self.assertRaises(OSError, main, ["client"], self.paths)


class AuthorityTests(MemberCase):
    """The authority of the members is replaced."""

    def setUp(self) -> None:
        super().setUp()
        self.found()
        [self.old] = self.trusted()

    def trusted(self) -> list[str]:
        found = certificates(self.read(self.paths.store_authority))
        return [fingerprint(each.encode()) for each in found]

    def test_a_new_authority_issues_and_both_are_trusted(self) -> None:
        self.assertTrue(introduce_authority(self.paths, "c"))
        new, old = self.trusted()
        self.assertEqual((old, list_issuers(self.paths)), (self.old, (new, self.old)))
        for path, mode in self.paths.store_files.items():
            self.assertEqual(os.stat(path).st_mode & 0o777, mode, path)

    def test_a_replacement_that_is_under_way_goes_on_with_the_same_one(self) -> None:
        introduce_authority(self.paths, "c")
        before = self.trusted(), self.read(self.paths.store_authority_key)
        self.assertFalse(introduce_authority(self.paths, "c"))
        after = self.trusted(), self.read(self.paths.store_authority_key)
        self.assertEqual(after, before)

    def test_one_whose_key_was_not_written_is_given_up(self) -> None:
        key = Path(self.paths.store_authority_key)
        before = key.read_bytes()
        introduce_authority(self.paths, "c")
        unused = self.trusted()[0]
        key.chmod(0o600)
        key.write_bytes(before)
        self.assertTrue(introduce_authority(self.paths, "c"))
        new, old = self.trusted()
        self.assertEqual(old, self.old)
        self.assertNotEqual(new, unused)

    def test_it_ends_with_the_new_one_when_the_client_has_a_certificate_of_it(self) -> None:
        introduce_authority(self.paths, "c")
        new = self.trusted()[0]
        main(["client"], self.paths)
        self.assertEqual(main(["issuers"], self.paths).decode(), f"{new} {new}")
        main(["retire"], self.paths)
        self.assertEqual(self.trusted(), [new])

    def test_the_authority_of_an_external_etcd_is_not_replaced_here(self) -> None:
        os.remove(self.paths.store_authority_key)
        with self.assertRaisesRegex(Refused, "another etcd is replaced there"):
            introduce_authority(self.paths, "c")
