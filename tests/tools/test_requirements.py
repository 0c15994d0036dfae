# SPDX-License-Identifier: BSD-2-Clause
"""Whether this Python has what the tree needs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tools.requirements import lacking


class RequirementTests(SynchronousTestCase):
    def test_a_package_is_lacking_if_it_is_not_there_or_too_old(self) -> None:
        self.assertFalse(lacking("msgspec>=0.20"))
        self.assertTrue(lacking("msgspec>=1000.1"))
        self.assertTrue(lacking("no-such-package>=1"))

    def test_extras_belong_to_the_package(self) -> None:
        self.assertFalse(lacking("Twisted[tls]>=24.7"))
        self.assertTrue(lacking("Twisted[tls]>=1000.1"))
