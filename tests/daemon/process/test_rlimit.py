# SPDX-License-Identifier: BSD-2-Clause
"""Daemons may have as many files open as they want, if the host lets them."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.rlimit import allow


class AllowTests(SynchronousTestCase):
    def setUp(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        self.hard = before[1]

    def limit(self) -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def test_a_limit_that_is_too_low_is_raised(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, self.hard))
        self.assertEqual((allow(300), self.limit()), (300, 300))

    def test_a_limit_that_is_high_enough_stays(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, self.hard))
        self.assertEqual((allow(100), self.limit()), (100, 200))

    def test_what_the_host_does_not_allow_is_not_had(self) -> None:
        if self.hard == resource.RLIM_INFINITY:
            self.assertEqual(allow(500), 500)
        else:
            self.assertEqual((allow(self.hard + 1), self.limit()), (self.hard, self.hard))
