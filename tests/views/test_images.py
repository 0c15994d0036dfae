# SPDX-License-Identifier: BSD-2-Clause
"""What lists say of images."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.images import add_image
from ganeti.errors import Refused
from ganeti.query.fields import FieldStatus
from ganeti.testing.builders import a_cluster, an_instance, uuid_of
from ganeti.views.images import IMAGES, rows
from tests.config.changes.test_images import DIGEST, an_image
from tests.views.moments import a_moment


class ImageRowTests(SynchronousTestCase):
    def setUp(self) -> None:
        osparams = {"image": "debian", "checksum": DIGEST}
        state = a_cluster(
            nodes=["node1", "node2"],
            instances=[
                an_instance("web10", osparams=osparams),
                an_instance("web9", osparams=osparams),
                an_instance("other", osparams={"image": "https://x/y", "checksum": DIGEST}),
            ],
        )
        image = an_image(
            size=(5 << 20) + 1,
            virtual_size=10 << 20,
            url="https://example.com/disk?secret",
            nodes=(uuid_of("node", "node2"), "gone"),
        )
        state = add_image(an_image("alpine", digest="sha256:" + "cd" * 32))(add_image(image)(state))
        self.rows = {row.image.name: row for row in rows(a_moment(state))}

    def value(self, field: str, name: str = "debian") -> Any:
        return IMAGES.fields[field].value(self.rows[name])

    def test_they_are_in_order(self) -> None:
        self.assertEqual(list(self.rows), ["alpine", "debian"])

    def test_sizes_are_rounded_up(self) -> None:
        self.assertEqual([self.value(name) for name in ("size", "virtual_size")], [6, 10])
        self.assertEqual(self.value("bytes"), (5 << 20) + 1)

    def test_copies_and_instances_have_names(self) -> None:
        self.assertEqual(self.value("node_list"), ["node2"])
        self.assertEqual(self.value("inst_list"), ["web9", "web10"])
        self.assertEqual((self.value("node_cnt"), self.value("inst_cnt")), (1, 2))

    def test_the_query_of_a_url_is_not_shown(self) -> None:
        self.assertEqual(self.value("url"), "https://example.com/disk")
        self.assertIs(self.value("url", "alpine"), FieldStatus.UNAVAILABLE)

    def test_an_unknown_one_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "image fedora does not exist"):
            rows(a_moment(a_cluster()), ["fedora"])
