# SPDX-License-Identifier: BSD-2-Clause
"""Images are listed for all, and changed by administrators."""

from __future__ import annotations

from ganeti.errors import Invalid, Refused
from ganeti.luxi.methods import QueryImages, QueryObjects
from ganeti.opcodes.images import AddImage, RemoveImage, RenameImage
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.images import FIELDS, ROUTES
from ganeti.views.images import IMAGES
from tests.rapi.routes.case import RouteCase

ALL = "/2/images"
ONE = f"{ALL}/{{image_name}}"
RENAME, UPLOAD = f"{ONE}/rename", f"{ONE}/upload"
DEBIAN = {"image_name": "debian"}
URL = "https://images.example.com/debian.qcow2"
DIGEST = "sha256:" + "ab" * 32


class ImageRouteTests(RouteCase):
    ROUTES = ROUTES

    def test_images_are_listed_and_shown(self) -> None:
        self.master.canned[QueryImages] = [["debian"]]
        listed = [{"name": "debian", "uri": "/2/images/debian"}]
        self.assertEqual(self.answer("GET", ALL), listed)
        self.master.canned[QueryObjects] = [{"name": "debian"}]
        self.assertEqual(self.answer("GET", ONE, variables=DEBIAN), {"name": "debian"})

    def test_objects_have_all_fields(self) -> None:
        self.assertEqual(set(FIELDS), set(IMAGES.fields))

    def test_an_image_is_added_from_a_url(self) -> None:
        self.answer("POST", ALL, {"name": "debian", "url": URL, "checksum": DIGEST})
        self.assertEqual(self.job(), AddImage(image_name="debian", url=URL, checksum=DIGEST))
        error = self.refusal(Invalid, "POST", ALL, {"name": "a/b", "url": "a b", "checksum": "x"})
        self.assertEqual({each.path for each in error.problems}, {"name", "url", "checksum"})

    def test_an_image_is_renamed_and_removed(self) -> None:
        self.answer("PUT", RENAME, {"new_name": "bookworm"}, variables=DEBIAN)
        self.assertEqual(self.job(), RenameImage(image_name="debian", new_name="bookworm"))
        self.answer("DELETE", ONE, variables=DEBIAN)
        self.assertEqual(self.job(), RemoveImage(image_name="debian"))

    def test_a_server_without_a_folder_takes_no_uploads(self) -> None:
        for method in ("GET", "PUT", "DELETE"):
            error = self.refusal(Refused, method, UPLOAD, variables=DEBIAN)
            self.assertIn("takes no uploads", str(error))

    def test_changes_are_for_administrators(self) -> None:
        changes = [("POST", ALL), ("DELETE", ONE), ("PUT", RENAME)]
        changes += [(method, UPLOAD) for method in ("GET", "PUT", "DELETE")]
        self.check_access(
            {
                **dict.fromkeys((("GET", ALL), ("GET", ONE)), AccessLevel.OPEN),
                **dict.fromkeys(changes, AccessLevel.ADMIN),
            }
        )
