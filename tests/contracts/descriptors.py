# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IDescriptors`` does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.system.interfaces import FileAccess, IDescriptors, IFiles

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class DescriptorsContract(Case):
    """Descriptors of files in a folder that is there and empty."""

    def setUp(self) -> None:
        self.folder, self.files, self.descriptors = self.make()

    def make(self) -> tuple[str, IFiles, IDescriptors]:
        """A folder of this test, and its files."""
        raise NotImplementedError

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def open(self, access: FileAccess) -> int:
        found: int = self.done(self.descriptors.open_file(f"{self.folder}/a", access))
        return found

    def test_a_folder_can_be_opened_for_reading(self) -> None:
        self.done(self.files.make_folder(f"{self.folder}/b"))
        work = self.descriptors.open_file(f"{self.folder}/b", FileAccess.READ)
        self.descriptors.close(self.done(work))

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IDescriptors, self.descriptors)

    def test_each_opening_has_a_number_until_it_is_closed(self) -> None:
        self.done(self.files.replace(f"{self.folder}/a", b"x"))
        first, second = self.open(FileAccess.READ), self.open(FileAccess.READ_WRITE)
        self.assertNotEqual(first, second)
        for each in (first, second):
            self.descriptors.close(each)
        with self.assertRaises(OSError):
            self.descriptors.close(second)

    def test_a_file_is_emptied_or_made_for_nobody_else(self) -> None:
        for content in (b"", b"old"):
            if content:
                self.done(self.files.replace(f"{self.folder}/a", content, mode=0o600))
            self.descriptors.close(self.open(FileAccess.EMPTY))
            found = self.files.stat(f"{self.folder}/a")
            assert found is not None
            self.assertEqual((found.size, found.mode), (0, 0o600))

    def test_a_socket_listens_for_this_user_where_nothing_is(self) -> None:
        path = f"{self.folder}/socket"
        self.descriptors.close(self.done(self.descriptors.listen_unix(path)))
        found = self.files.stat(path)
        assert found is not None
        self.assertEqual(found.mode, 0o600)
        work = Deferred.fromCoroutine(self.descriptors.listen_unix(path))
        self.failureResultOf(work, OSError)

    def test_what_is_missing_cannot_be_opened(self) -> None:
        for work in (
            self.descriptors.open_file(f"{self.folder}/a", FileAccess.READ_WRITE),
            self.descriptors.open_tap("gnt-no-such-tap", multi_queue=False, vnet_hdr=True),
        ):
            self.failureResultOf(Deferred.fromCoroutine(work), FileNotFoundError)
