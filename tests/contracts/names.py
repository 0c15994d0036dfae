# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IHostNames`` does."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from ganeti.system.interfaces import IHostNames


class NamesContract:
    """A subclass says which one, with ``localhost`` answering."""

    def names(self) -> IHostNames:
        raise NotImplementedError

    async def test_it_is_one(self) -> None:
        verifyObject(IHostNames, self.names())

    async def test_a_known_name_has_an_address_that_answers(self) -> None:
        names = self.names()
        address, *_ = await names.addresses("localhost")
        self.assertTrue(await names.in_use(address))  # type: ignore[attr-defined]

    async def test_what_can_be_no_name_has_none(self) -> None:
        found = await self.names().addresses("no..name")
        self.assertEqual(found, [])  # type: ignore[attr-defined]
