# SPDX-License-Identifier: BSD-2-Clause
"""What a node has of a member of etcd: settings, certificates and data."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.journal.etcd.member_files import (
    authority_file,
    certificate_file,
    data_folder,
    settings_file,
)
from ganeti.node.store_member import StoreMember
from ganeti.paths import Paths
from ganeti.rpc.store_members import (
    ConfigureStoreMember,
    DescribeStoreMember,
    MemberAddress,
    MemberSettings,
    RemoveStoreMember,
)
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATHS = Paths()
FOLDER = PATHS.store_member
ME = MemberAddress(name="node1", address="192.0.2.1")


def settings(number: str) -> MemberSettings:
    return MemberSettings(name="node1", address="192.0.2.1", id=number, peers=(ME,))


class StoreMemberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder(PATHS.data, 0o755)
        self.files = MemoryFiles(self.disk)
        self.runs = False
        self.stops = 0
        self.member = StoreMember(self.files, PATHS, lambda: self.runs, self.stop)

    async def stop(self) -> bool:
        # It must not be started again meanwhile.
        self.stops += 1
        self.was_configured = self.files.stat(settings_file(FOLDER)) is not None
        self.runs = False
        return True

    def configure(self, number: str = "1", authority: str = "ca", **more: Any) -> None:
        call = ConfigureStoreMember(
            settings=settings(number), authority=authority, certificate=f"key{number}", **more
        )
        self.successResultOf(self.member.configure(call))

    def write_data(self) -> None:
        folder = data_folder(FOLDER)
        self.disk.add_folder(folder, 0o700)
        self.disk.put(f"{folder}/db", b"data", 0o600, 0.0)

    def has_data(self) -> bool:
        found: bool = self.successResultOf(self.member.describe(DescribeStoreMember())).has_data
        return found

    def test_a_node_without_a_member_says_so(self) -> None:
        report = self.successResultOf(self.member.describe(DescribeStoreMember()))
        self.assertEqual((report.settings, report.has_data, report.runs), (None, False, False))

    def test_a_member_has_settings_and_certificates(self) -> None:
        self.configure()
        self.assertEqual(self.files.read(authority_file(FOLDER)), b"ca")
        self.assertEqual(self.files.read(certificate_file(FOLDER)), b"key1")
        report = self.successResultOf(self.member.describe(DescribeStoreMember()))
        self.assertEqual(report.settings, settings("1"))

    def test_a_repeated_order_keeps_the_data(self) -> None:
        self.configure(fresh=True)
        self.write_data()
        self.configure(fresh=True)
        self.assertEqual((self.has_data(), self.stops), (True, 1))

    def test_a_new_member_does_not_start_with_the_data_of_another_one(self) -> None:
        self.configure("1")
        self.write_data()
        self.configure("2", fresh=True)
        self.assertFalse(self.has_data())
        self.assertFalse(self.was_configured)

    def test_renewed_certificates_keep_data_and_process(self) -> None:
        self.configure("1")
        self.write_data()
        stops = self.stops
        self.configure("1")
        self.assertEqual((self.has_data(), self.stops), (True, stops))

    def test_another_authority_takes_a_restart(self) -> None:
        self.configure()
        self.write_data()
        stops = self.stops
        self.configure(authority="ca and another")
        self.assertEqual((self.has_data(), self.stops), (True, stops + 1))

    def test_a_certificate_that_is_not_replaced_stays(self) -> None:
        self.configure()
        call = ConfigureStoreMember(settings=settings("1"), authority="other", certificate="")
        self.successResultOf(self.member.configure(call))
        self.assertEqual(self.files.read(certificate_file(FOLDER)), b"key1")
        self.assertEqual(self.files.read(authority_file(FOLDER)), b"other")

    def test_a_removed_member_leaves_nothing(self) -> None:
        self.configure()
        self.write_data()
        self.assertTrue(self.successResultOf(self.member.remove(RemoveStoreMember())))
        self.assertFalse(self.was_configured)
        self.assertIsNone(self.files.stat(FOLDER))
        self.assertFalse(self.successResultOf(self.member.remove(RemoveStoreMember())))

    def test_damaged_settings_are_named(self) -> None:
        self.configure()
        self.disk.put(settings_file(FOLDER), b"{", 0o600, 0.0)
        error = self.failureResultOf(self.member.describe(DescribeStoreMember()), Failed).value
        self.assertIn("member.json is damaged", str(error))
