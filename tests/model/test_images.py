# SPDX-License-Identifier: BSD-2-Clause
"""Names and URLs of images."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.images import find_image_url_problem, is_image_name, shown_url


class NameTests(SynchronousTestCase):
    def test_a_name_is_neither_a_path_nor_a_url(self) -> None:
        self.assertTrue(is_image_name("debian-12.1_x"))
        for other in ("/srv/disk", "https://x/y", "a/b", "a:b", "", ".hidden", "x" * 65, None, 1):
            self.assertFalse(is_image_name(other), other)


class UrlTests(SynchronousTestCase):
    def test_images_come_by_http_from_a_host(self) -> None:
        for url in ("https://example.com/disk", "http://[2001:db8::1]:8080/disk?x=y"):
            self.assertIsNone(find_image_url_problem(url), url)
        for url in ("ftp://example.com/x", "https:///x", "file:///etc/shadow", "http://[x/"):
            self.assertIsNotNone(find_image_url_problem(url), url)

    def test_passwords_do_not_belong_into_urls(self) -> None:
        problem = find_image_url_problem("https://me:secret@example.com/disk")
        self.assertIn("must not have a user name or a password", problem or "")

    def test_a_query_which_may_be_a_secret_is_not_shown(self) -> None:
        self.assertEqual(
            shown_url("https://example.com/disk?signature=1"), "https://example.com/disk"
        )
