# SPDX-License-Identifier: BSD-2-Clause
"""CDs are changed in the drives that a running guest has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.cd_drives import CdDrive, cd_drives, changed_drives
from ganeti.model.parameters.kvm import Kvm

FIRST, SECOND = "cdrom_image_path", "cdrom2_image_path"


class CdDriveTests(SynchronousTestCase):
    def changed(self, started: Kvm, configured: Kvm, *empty: str) -> list[CdDrive]:
        return list(changed_drives(started, configured, empty))

    def test_a_drive_is_there_for_each_image(self) -> None:
        both = Kvm(cdrom_image_path="/a.iso", cdrom2_image_path="/b.iso")
        expected = [CdDrive("cdrom0", FIRST, "/a.iso"), CdDrive("cdrom1", SECOND, "/b.iso")]
        self.assertEqual(list(cd_drives(both)), expected)
        second = Kvm(cdrom2_image_path="/b.iso")
        self.assertEqual(list(cd_drives(second)), [CdDrive("cdrom0", SECOND, "/b.iso")])

    def test_another_image_is_put_into_the_drive_that_has_one(self) -> None:
        started = Kvm(cdrom2_image_path="/b.iso")
        configured = Kvm(cdrom_image_path="/a.iso", cdrom2_image_path="/c.iso")
        self.assertEqual(self.changed(started, configured), [CdDrive("cdrom0", SECOND, "/c.iso")])

    def test_a_drive_without_an_image_becomes_empty(self) -> None:
        started = Kvm(cdrom_image_path="/a.iso")
        for configured in (Kvm(), Kvm(cdrom2_image_path="/b.iso")):
            self.assertEqual(self.changed(started, configured), [CdDrive("cdrom0", FIRST, "")])

    def test_an_empty_drive_is_still_there(self) -> None:
        started = Kvm(cdrom2_image_path="/b.iso")
        drives = [CdDrive("cdrom0", FIRST, ""), CdDrive("cdrom1", SECOND, "/b.iso")]
        self.assertEqual(list(cd_drives(started, [FIRST])), drives)
        configured = Kvm(cdrom_image_path="/a.iso", cdrom2_image_path="/b.iso")
        changed = self.changed(started, configured, FIRST)
        self.assertEqual(changed, [CdDrive("cdrom0", FIRST, "/a.iso")])

    def test_the_same_image_changes_nothing(self) -> None:
        started = Kvm(cdrom_image_path="/a.iso")
        self.assertEqual(self.changed(started, started), [])
        self.assertEqual(self.changed(Kvm(), Kvm(), FIRST), [])
