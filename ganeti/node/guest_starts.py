# SPDX-License-Identifier: BSD-2-Clause
"""The starts of guests that are in progress on this node.

A node carries a start out to its end also if the master that asked for it has ended. Its successor
asks all nodes before it starts the guest elsewhere, and must not be told that it runs nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ganeti.model.guest import Guest, GuestState


class GuestStarts:
    """The guests that are being started; to others they count as running."""

    def __init__(self) -> None:
        self._guests: list[Guest] = []

    @contextmanager
    def announce_start(self, guest: Guest) -> Iterator[None]:
        """Count a guest as running until its start has ended, successfully or not.

        A start that waits for another operation on the guest counts as well.
        """
        self._guests.append(guest)
        try:
            yield
        finally:
            # By identity: several calls may ask for the start of the same guest.
            self._guests = [each for each in self._guests if each is not guest]

    def list_starting(self, hypervisor: str) -> dict[str, GuestState]:
        """Return the guests that are being started with a hypervisor, by name."""
        return {
            guest.name: GuestState(name=guest.name, memory=guest.memory, vcpus=guest.vcpus)
            for guest in self._guests
            if guest.hypervisor == hypervisor
        }
