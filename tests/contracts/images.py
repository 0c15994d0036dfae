# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IImages`` does; a subclass says which one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.system.interfaces import IImages

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class ImagesContract(Case):
    """Images in a folder that exists or not."""

    def setUp(self) -> None:
        self.folder, self.images = self.make()

    def make(self) -> tuple[str, IImages]:
        """A folder of this test, and the images in it."""
        raise NotImplementedError

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def trouble(self, work: Coroutine[Any, Any, object], kind: type[OSError]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(work), kind)

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IImages, self.images)

    def test_a_new_image_has_its_size_and_is_found_below_its_folder(self) -> None:
        path = f"{self.folder}/web1/disk0"
        self.done(self.images.create(path, 5000))
        self.assertEqual(self.images.size(path), 5000)
        self.assertEqual(self.done(self.images.below(self.folder)), {path: 5000})

    def test_an_image_is_not_made_over_another(self) -> None:
        path = f"{self.folder}/disk0"
        self.done(self.images.create(path, 5000))
        self.trouble(self.images.create(path, 10), FileExistsError)
        self.assertEqual(self.images.size(path), 5000)

    def test_an_image_grows_and_never_shrinks(self) -> None:
        path = f"{self.folder}/disk0"
        self.done(self.images.create(path, 5000))
        self.done(self.images.resize(path, 6000))
        self.done(self.images.resize(path, 100))
        self.assertEqual(self.images.size(path), 6000)

    def test_a_renamed_image_is_where_it_was_moved_to(self) -> None:
        old, new = f"{self.folder}/disk0", f"{self.folder}/web2/disk1"
        self.done(self.images.create(old, 5000))
        self.done(self.images.rename(old, new))
        self.assertEqual(self.done(self.images.below(self.folder)), {new: 5000})

    def test_an_image_is_not_renamed_over_another(self) -> None:
        one, two = f"{self.folder}/one", f"{self.folder}/two"
        self.done(self.images.create(one, 1))
        self.done(self.images.create(two, 2))
        self.trouble(self.images.rename(one, two), FileExistsError)

    def test_removing_twice_succeeds(self) -> None:
        path = f"{self.folder}/web1/disk0"
        self.done(self.images.create(path, 5000))
        self.done(self.images.remove(path, within=self.folder))
        self.done(self.images.remove(path, within=self.folder))
        self.assertIsNone(self.images.size(path))

    def test_a_missing_image_can_neither_grow_nor_be_wiped(self) -> None:
        path = f"{self.folder}/none"
        self.trouble(self.images.resize(path, 10), FileNotFoundError)
        self.trouble(self.images.zero(path, 0, 10), FileNotFoundError)

    def test_a_folder_that_is_not_there_holds_nothing(self) -> None:
        self.assertEqual(self.done(self.images.below(f"{self.folder}/none")), {})

    def test_there_is_room(self) -> None:
        space = self.done(self.images.space(self.folder))
        self.assertTrue(0 <= space.free <= space.size)
