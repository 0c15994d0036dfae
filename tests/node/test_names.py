# SPDX-License-Identifier: BSD-2-Clause
"""A node resolves names, and probes addresses only if it is asked to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.node.names import Names
from ganeti.rpc.node import ResolvedName, ResolveName
from ganeti.testing.names import MemoryNames, address_of


class SeveralAddresses(MemoryNames):
    """Every name has three addresses; ``probed`` are those at which a host was looked for."""

    def __init__(self, answers: str) -> None:
        super().__init__()
        self._answers = answers
        self.probed: list[str] = []

    async def addresses(self, name: str) -> list[str]:
        return ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

    async def in_use(self, address: str) -> bool:
        self.probed.append(address)
        return address == self._answers


class NamesTests(SynchronousTestCase):
    def resolve(self, names: MemoryNames, *, probe: bool) -> ResolvedName:
        call = ResolveName(name="web1", probe=probe)
        found: ResolvedName = self.successResultOf(Names(names).resolve(call))
        return found

    def test_a_name_has_its_address(self) -> None:
        found = self.resolve(MemoryNames(used=("web1",)), probe=False)
        self.assertEqual(found, ResolvedName(addresses=(address_of("web1"),), answers=False))

    def test_an_unknown_name_has_none_and_nothing_is_probed(self) -> None:
        found = self.resolve(MemoryNames(unknown=("web1",)), probe=True)
        self.assertEqual(found, ResolvedName(addresses=(), answers=False))

    def test_a_host_at_any_of_the_addresses_answers(self) -> None:
        for answering, probes in (("192.0.2.1", 1), ("192.0.2.3", 3), ("none", 3)):
            names = SeveralAddresses(answering)
            found = self.resolve(names, probe=True)
            self.assertEqual((found.answers, len(names.probed)), (answering != "none", probes))
