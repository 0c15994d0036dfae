# SPDX-License-Identifier: BSD-2-Clause
"""The files that candidates get are those that exist on the master's host."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.local_ancillary_files import LocalAncillaryFiles
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles


class AncillaryFileTests(SynchronousTestCase):
    def test_existing_files_are_read_with_their_mode_and_path_below_the_root(self) -> None:
        disk, paths = MemoryDisk(), Paths("/trial")
        disk.add_folder(paths.data, 0o755)
        files = LocalAncillaryFiles(MemoryFiles(disk), paths)
        self.assertEqual(self.successResultOf(files.read()), [])
        mode = paths.shared_files[paths.rapi_certificate]
        disk.put(paths.rapi_certificate, b"PEM", mode, 0.0)
        below = paths.rapi_certificate.removeprefix("/trial")
        self.assertEqual(self.successResultOf(files.read()), [AncillaryFile(below, b"PEM", mode)])
