# SPDX-License-Identifier: BSD-2-Clause
"""Identifiers of the master are unpredictable, and in the forms that its files have."""

from __future__ import annotations

import uuid

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.identifiers import SystemIdentifiers


class IdentifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ids = SystemIdentifiers()

    def test_a_uuid_is_random_and_in_the_usual_form(self) -> None:
        text = self.ids.uuid()
        self.assertEqual(str(uuid.UUID(text)), text)
        self.assertEqual(uuid.UUID(text).version, 4)

    def test_a_secret_is_that_of_a_drbd_pair(self) -> None:
        self.assertRegex(self.ids.secret(), "^[0-9a-f]{40}$")

    def test_none_comes_twice(self) -> None:
        for make in (self.ids.uuid, self.ids.secret):
            self.assertEqual(len({make() for _ in range(100)}), 100)

    def test_chance_comes_from_the_kernel(self) -> None:
        self.assertRaises(NotImplementedError, self.ids.random.getstate)
