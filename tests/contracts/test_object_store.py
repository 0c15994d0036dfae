# SPDX-License-Identifier: BSD-2-Clause
"""Folders and S3-compatible stores do the same."""

from __future__ import annotations

import os

from ganeti.repository.folder_store import FolderStore
from ganeti.repository.interfaces import IObjectStore
from ganeti.testing.memory_s3 import MemoryS3
from tests.contracts.object_store import ObjectStoreContract as Contract


class FolderStoreTests(Contract):
    def make_store(self) -> IObjectStore:
        path = self.mktemp()
        os.mkdir(path)
        return FolderStore(path)


class S3StoreTests(Contract):
    def make_store(self) -> IObjectStore:
        return MemoryS3().store("backups of/web/")


del Contract
