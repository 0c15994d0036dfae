# SPDX-License-Identifier: BSD-2-Clause
"""Host names have one form."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.schema.host_names import is_host_name, normalize


class HostNameTests(SynchronousTestCase):
    def test_cases_and_the_last_dot_do_not_count(self) -> None:
        for written in ("web1.example.com", "Web1.Example.COM", "web1.example.com."):
            self.assertEqual(normalize(written), "web1.example.com")

    def test_names_of_hosts(self) -> None:
        for name in ("web1", "web-1.example.com", "10", "a_b", "_x.y", "192.0.2.1"):
            self.assertTrue(is_host_name(name), name)

    def test_what_is_none(self) -> None:
        for name in ("", ".", "a..b", ".a", "a.", "Web1", "-a", "a b", "a/b", "a\n", "wäb1", "."):
            self.assertFalse(is_host_name(name), name)
