# SPDX-License-Identifier: BSD-2-Clause
"""Capabilities of migrations are used, or refused with a reason."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.hypervisor.kvm.migration_capabilities import REFUSED, find_problems, list_capabilities
from ganeti.model.parameters.kvm import Kvm


class CapabilityTests(SynchronousTestCase):
    def test_those_of_the_parameter_are_enabled(self) -> None:
        found = list_capabilities(Kvm(migration_caps="auto-converge:xbzrle"))
        self.assertEqual(found, {"auto-converge": True, "xbzrle": True})

    def test_by_default_there_are_none(self) -> None:
        self.assertEqual(list_capabilities(Kvm()), {})

    def test_those_that_could_lose_a_guest_are_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "postcopy-ram would leave the memory of a guest on"):
            list_capabilities(Kvm(migration_caps="xbzrle:postcopy-ram"))

    def test_every_one_that_is_refused_has_a_reason(self) -> None:
        problems = find_problems(Kvm(migration_caps=":".join(REFUSED)))
        self.assertEqual(len(problems), len(REFUSED))
        self.assertTrue(all(REFUSED.values()))
