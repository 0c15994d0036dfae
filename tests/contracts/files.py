# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IFiles`` and its ``ILog`` do; a subclass says which ones."""

from __future__ import annotations

import posixpath
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.system.interfaces import IFiles, IFolderLock, ILog

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class FilesContract(Case):
    """Files in a folder that is there and empty; what is made there belongs to ``user``."""

    user = 0

    def setUp(self) -> None:
        self.folder, self.files = self.make()

    def make(self) -> tuple[str, IFiles]:
        """A folder of this test, and files that can be in it."""
        raise NotImplementedError

    def path(self, *names: str) -> str:
        return posixpath.join(self.folder, *names)

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def trouble(self, work: Coroutine[Any, Any, object], kind: type[OSError]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(work), kind)

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IFiles, self.files)

    def test_a_replaced_file_is_read_back(self) -> None:
        self.done(self.files.replace(self.path("a"), b"old"))
        self.done(self.files.replace(self.path("a"), b"new", mode=0o600))
        self.assertEqual(self.files.read(self.path("a")), b"new")
        found = self.files.stat(self.path("a"))
        assert found is not None
        self.assertEqual((found.size, found.mode, found.folder), (3, 0o600, False))
        self.assertEqual(found.owner, self.user)

    def test_many_files_are_replaced_and_leave_nothing_else(self) -> None:
        contents = {self.path(f"f{number:03}"): b"%d" % number for number in range(150)}
        self.done(self.files.replace_all(contents))
        self.assertEqual({path: self.files.read(path) for path in contents}, contents)
        self.assertEqual(self.files.names(self.folder), sorted(map(posixpath.basename, contents)))

    def test_a_file_without_a_folder_cannot_be_written(self) -> None:
        self.trouble(self.files.replace(self.path("no", "a"), b""), FileNotFoundError)
        self.trouble(self.files.open_log(self.path("no", "a")), FileNotFoundError)

    def test_reading_what_is_not_there(self) -> None:
        self.assertEqual(self.files.names(self.path("no")), [])
        self.assertIsNone(self.files.stat(self.path("no")))
        with self.assertRaises(FileNotFoundError):
            self.files.read(self.path("no"))

    def test_a_folder_is_made_with_its_parents(self) -> None:
        self.done(self.files.make_folder(self.path("x", "y"), mode=0o700))
        self.done(self.files.make_folder(self.path("x", "y")))
        # Whatever the umask is.
        self.done(self.files.make_folder(self.path("open"), mode=0o777))
        found = self.files.stat(self.path("open"))
        assert found is not None
        self.assertEqual(found.mode, 0o777)
        self.assertEqual(self.files.names(self.path("x")), ["y"])
        found = self.files.stat(self.path("x", "y"))
        assert found is not None
        self.assertEqual((found.mode, found.folder), (0o700, True))

    def test_a_renamed_file_takes_the_place_of_another(self) -> None:
        self.done(self.files.replace(self.path("a"), b"a"))
        self.done(self.files.replace(self.path("b"), b"b"))
        self.done(self.files.rename(self.path("a"), self.path("b")))
        self.assertEqual(self.files.names(self.folder), ["b"])
        self.assertEqual(self.files.read(self.path("b")), b"a")
        self.trouble(self.files.rename(self.path("a"), self.path("b")), FileNotFoundError)

    def test_a_folder_moves_and_goes_with_all_that_is_in_it(self) -> None:
        self.done(self.files.make_folder(self.path("a", "b")))
        self.done(self.files.replace(self.path("a", "b", "c"), b"c"))
        self.done(self.files.rename(self.path("a"), self.path("x")))
        self.assertEqual(self.files.read(self.path("x", "b", "c")), b"c")
        self.assertEqual(self.files.names(self.folder), ["x"])
        self.done(self.files.make_folder(self.path("y")))
        self.trouble(self.files.rename(self.path("y"), self.path("x")), OSError)
        for _ in range(2):
            self.done(self.files.remove_folder(self.path("x")))
        self.assertEqual(self.files.names(self.folder), ["y"])
        self.assertIsNone(self.files.stat(self.path("x", "b", "c")))

    def test_removing_twice_succeeds(self) -> None:
        self.done(self.files.replace(self.path("a"), b"a"))
        self.done(self.files.remove(self.path("a")))
        self.done(self.files.remove(self.path("a")))
        self.assertEqual(self.files.names(self.folder), [])

    def test_a_log_grows_and_is_cut(self) -> None:
        log = self.done(self.files.open_log(self.path("log")))
        verifyObject(ILog, log)
        self.done(log.write(b"one two "))
        self.done(log.write(b"three"))
        self.done(log.truncate(4))
        self.done(log.write(b"four"))
        self.done(log.close())
        self.assertEqual(self.files.read(self.path("log")), b"one four")

    def test_a_log_goes_on_where_it_ended(self) -> None:
        self.done(self.files.replace(self.path("log"), b"header "))
        for data in (b"one ", b"two"):
            log = self.done(self.files.open_log(self.path("log")))
            self.done(log.write(data))
            self.done(log.close())
        self.assertEqual(self.files.read(self.path("log")), b"header one two")

    def test_a_folder_is_locked_by_one_at_a_time(self) -> None:
        lock = self.files.lock_folder(self.folder)
        assert lock is not None
        verifyObject(IFolderLock, lock)
        self.assertIsNone(self.files.lock_folder(self.folder))
        lock.unlock()
        again = self.files.lock_folder(self.folder)
        assert again is not None
        again.unlock()
        with self.assertRaises(FileNotFoundError):
            self.files.lock_folder(self.path("no"))

    def test_a_folder_is_synced_and_stays_as_it_is(self) -> None:
        self.done(self.files.replace(self.path("a"), b"content"))
        self.done(self.files.sync_folder(self.folder))
        self.assertEqual(self.files.names(self.folder), ["a"])
