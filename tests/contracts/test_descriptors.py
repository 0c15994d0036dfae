# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors of this host, and their double in memory."""

from __future__ import annotations

import os
import shutil
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.descriptors import LocalDescriptors
from ganeti.system.files import LocalFiles
from ganeti.system.interfaces import FileAccess, IDescriptors, IFiles
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.memory_descriptors import MemoryDescriptors
from tests.contracts.descriptors import DescriptorsContract
from tests.contracts.test_files import at_once


class MemoryDescriptorsTests(DescriptorsContract, SynchronousTestCase):
    def make(self) -> tuple[str, IFiles, IDescriptors]:
        disk = MemoryDisk()
        return "", MemoryFiles(disk), MemoryDescriptors(disk)


class LocalDescriptorsTests(DescriptorsContract, SynchronousTestCase):
    def make(self) -> tuple[str, IFiles, IDescriptors]:
        # The path of a socket has at most 107 bytes.
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return folder, LocalFiles(at_once), LocalDescriptors(at_once)

    def test_a_descriptor_can_do_what_it_was_opened_for(self) -> None:
        self.done(self.files.replace(f"{self.folder}/a", b"old"))
        reader, writer = self.open(FileAccess.READ), self.open(FileAccess.READ_WRITE)
        self.addCleanup(self.descriptors.close, reader)
        self.addCleanup(self.descriptors.close, writer)
        os.write(writer, b"new")
        self.assertEqual(os.read(reader, 9), b"new")
        with self.assertRaises(OSError):
            os.write(reader, b"x")

    def test_programs_do_not_inherit_it(self) -> None:
        descriptor = self.open(FileAccess.EMPTY)
        self.addCleanup(self.descriptors.close, descriptor)
        self.assertFalse(os.get_inheritable(descriptor))
