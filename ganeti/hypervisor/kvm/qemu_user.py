# SPDX-License-Identifier: BSD-2-Clause
"""The user that QEMU runs as: root, a user of the node, or one of the cluster's pool.

QEMU is started as root, opens its disks, devices and sockets, and then gives up the powers of root,
while the firmware of the guest begins. So files and devices of guests keep their owners, and no
user but root can open them; what a running guest gets later, the node daemon opens for it (see
``qemu_files``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ganeti.errors import Code, Refused
from ganeti.model.cluster_settings import NO_USER_POOL
from ganeti.model.parameters.kvm import Kvm
from ganeti.system.interfaces import HostUser, IAccounts

ROOT_ID = 0
NO_GROUP = 65534
"""The group of pool user IDs that no account has: Debian's nogroup, which owns no files."""

Ranges = Sequence[tuple[int, int]]
"""User IDs from a first to a last one, both included."""


@dataclass(frozen=True)
class QemuUser:
    """A user and the only group that QEMU is in, by number."""

    user: int
    group: int


class QemuUsers:
    """Chooses the user of each QEMU of this node; ``pool`` returns the cluster's user IDs.

    Only a ``privileged`` daemon, one with the powers of root, can give another user to QEMU.
    """

    def __init__(
        self, accounts: IAccounts, pool: Callable[[], Ranges], *, privileged: bool
    ) -> None:
        self._accounts = accounts
        self._pool = pool
        self._privileged = privileged

    async def choose(self, kvm: Kvm, in_use: Callable[[], Collection[int]]) -> QemuUser | None:
        """Return the user for a guest with these parameters; None is root.

        A user ID of the pool is free if it is not ``in_use`` by another guest of this node. The
        caller records it before it waits for anything else.

        :raises Refused: there is no such user, or all user IDs of the pool are in use.
        """
        if kvm.security_model != "none" and not self._privileged:
            raise Refused(
                "security_model: the node daemon does not run as root, and cannot change the user"
                " of QEMU; run it as root, or set security_model=none",
                Code.ENVIRONMENT,
            )
        match kvm.security_model:
            case "user":
                return await self._find_domain(kvm.security_domain)
            case "pool":
                return await self._choose_from_pool(in_use)
            case _:
                return None

    async def _find_domain(self, name: str) -> QemuUser:
        found = await self._accounts.find(name)
        if found is None or found.user == ROOT_ID:
            raise Refused(f"security_domain: {_unusable(name, found)}", Code.ENVIRONMENT)
        return QemuUser(found.user, found.group)

    async def find_problem(self, kvm: Kvm) -> str:
        """Return why QEMU cannot run as the named user, if it has to; empty if it can."""
        if kvm.security_model != "user":
            return ""
        found = await self._accounts.find(kvm.security_domain)
        usable = found is not None and found.user != ROOT_ID
        return "" if usable else _unusable(kvm.security_domain, found)

    async def _choose_from_pool(self, in_use: Callable[[], Collection[int]]) -> QemuUser:
        ranges = self._pool()
        for user in _list_ids(ranges):
            if user in in_use():
                continue
            account = await self._accounts.find_by_id(user)
            # Another guest may have got it in the meantime.
            if user not in in_use():
                return QemuUser(user, account.group if account else NO_GROUP)
        if not ranges:
            raise Refused(f"security_model: {NO_USER_POOL}", Code.STATE)
        raise Refused(
            "all user IDs for guests are in use by other guests of this node: add more"
            " (gnt-cluster modify --add-uids FIRST-LAST)",
            Code.ENVIRONMENT,
        )


def _unusable(name: str, account: HostUser | None) -> str:
    """Return why QEMU cannot run as a user: it is missing, or root."""
    if account is None:
        return (
            f"this node has no user {name}: create it (adduser --system {name}), or use"
            " security_model=pool"
        )
    return f"the user {name} has the powers of root; name another one"


def _list_ids(ranges: Ranges) -> Iterator[int]:
    """Yield the user IDs of a pool, except root's."""
    every = chain.from_iterable(range(first, last + 1) for first, last in ranges)
    return (user for user in every if user != ROOT_ID)


def parse_ranges(text: str) -> Ranges:
    """Parse the ssconf value ``uid_pool``: a line for each range, ``LOW-HIGH`` or one number.

    :raises ValueError: it is malformed.
    """
    found = []
    for line in text.splitlines():
        first, _, last = line.partition("-")
        found.append((int(first), int(last or first)))
    return found
