# SPDX-License-Identifier: BSD-2-Clause
"""Identifiers of planned objects: equal in every plan of an opcode, different between opcodes."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from ganeti.operations.planned_ids import DeterministicIdentifiers, empty_secret
from ganeti.testing.builders import uuid_of

ONE, OTHER = uuid_of("instance", "web1"), uuid_of("instance", "web2")


def some_uuids(identity: str) -> list[str]:
    ids = DeterministicIdentifiers(identity)
    return [ids.uuid() for _ in range(3)]


class DeterministicIdentifierTests(SynchronousTestCase):
    def test_each_plan_of_an_opcode_has_the_same_identifiers(self) -> None:
        self.assertEqual(some_uuids(ONE), some_uuids(ONE))
        first, second = DeterministicIdentifiers(ONE), DeterministicIdentifiers(ONE)
        self.assertEqual(first.random.random(), second.random.random())

    def test_all_identifiers_of_all_opcodes_are_different(self) -> None:
        found = [ONE, OTHER, *some_uuids(ONE), *some_uuids(OTHER)]
        self.assertEqual(len({UUID(each) for each in found}), len(found))

    def test_random_numbers_do_not_change_identifiers(self) -> None:
        # A plan that draws a MAC address on one occasion only must not move its UUIDs.
        ids = DeterministicIdentifiers(ONE)
        ids.random.random()
        self.assertEqual(ids.uuid(), some_uuids(ONE)[0])

    def test_random_numbers_continue_between_calls(self) -> None:
        ids = DeterministicIdentifiers(ONE)
        self.assertNotEqual(ids.random.random(), ids.random.random())

    def test_secrets_are_not_derived_from_the_identity(self) -> None:
        secrets = iter(("first", "second"))
        ids = DeterministicIdentifiers(ONE, lambda: next(secrets))
        self.assertEqual((ids.secret(), ids.secret()), ("first", "second"))
        self.assertEqual(DeterministicIdentifiers(ONE).secret(), empty_secret())
        self.assertEqual(empty_secret(), "")
