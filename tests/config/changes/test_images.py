# SPDX-License-Identifier: BSD-2-Clause
"""The library of images in the configuration."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.access_file import restore, text
from ganeti.config.changes.images import (
    add_image,
    find_image,
    record_copies,
    remove_image,
    rename_image,
)
from ganeti.errors import Refused
from ganeti.model.images import LibraryImage
from ganeti.testing.builders import a_cluster

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def an_image(name: str = "debian", **over: Any) -> LibraryImage:
    fields: dict[str, Any] = {
        "created": 1,
        "digest": DIGEST,
        "size": 10,
        "virtual_size": 1024,
        "format": "qcow2",
    }
    return LibraryImage(uuid=name, **{**fields, **over})


class ImageChangesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = add_image(an_image())(a_cluster())

    def test_a_name_is_used_once(self) -> None:
        with self.assertRaisesRegex(Refused, "debian already exists; choose another name"):
            add_image(an_image(digest=OTHER))(self.state)
        two = add_image(an_image("fedora"))(self.state)
        with self.assertRaisesRegex(Refused, "fedora already exists"):
            rename_image("debian", "fedora")(two)

    def test_another_name_changes_nothing_else(self) -> None:
        renamed = rename_image("debian", "bookworm")(self.state)
        self.assertEqual(dict(renamed.images), {"bookworm": an_image("bookworm")})

    def test_an_unknown_one_is_refused_with_where_to_look(self) -> None:
        removed = remove_image("debian")(self.state)
        with self.assertRaisesRegex(Refused, "debian does not exist; see gnt-os image list"):
            find_image(removed, "debian")

    def test_images_with_the_same_content_share_its_copies(self) -> None:
        state = add_image(an_image("other", digest=OTHER))(self.state)
        state = add_image(an_image("same", nodes=("b",)))(state)
        state = record_copies(DIGEST, added=["a"], lost=["b"])(state)
        nodes = {name: image.nodes for name, image in state.images.items()}
        self.assertEqual(nodes, {"debian": ("a",), "same": ("a",), "other": ()})

    def test_a_new_image_has_the_copies_of_one_with_the_same_content(self) -> None:
        state = record_copies(DIGEST, added=["a", "b"])(self.state)
        state = add_image(an_image("same", nodes=("c",)))(state)
        self.assertEqual(
            [state.images[name].nodes for name in ("debian", "same")], [("a", "b", "c")] * 2
        )

    def test_what_is_recorded_already_is_no_change(self) -> None:
        state = record_copies(DIGEST, added=["a"])(self.state)
        self.assertIs(record_copies(DIGEST, added=["a"])(state), state)

    def test_the_library_is_kept_in_a_file(self) -> None:
        self.assertEqual(
            dict(restore(a_cluster(), text(self.state)).images), {"debian": an_image()}
        )
