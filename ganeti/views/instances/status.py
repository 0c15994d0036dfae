# SPDX-License-Identifier: BSD-2-Clause
"""The field ``status`` of instances, from the configured state and the state of the guest."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ganeti.model.instance import Wanted, WantedBy


class GuestStatus(enum.Enum):
    """Where an instance's guest runs, as far as known."""

    RUNNING = "runs on its primary node"
    ELSEWHERE = "runs on another node"
    ABSENT = "does not run on its primary node"
    NO_ANSWER = "the primary node does not answer"
    NODE_OFFLINE = "the primary node is marked offline"


class Condition(enum.StrEnum):
    """The values of the field ``status``."""

    RUNNING = "running"
    ADMIN_DOWN = "ADMIN_down"
    ADMIN_OFFLINE = "ADMIN_offline"
    USER_DOWN = "USER_down"
    ERROR_DOWN = "ERROR_down"
    ERROR_UP = "ERROR_up"
    ERROR_WRONGNODE = "ERROR_wrongnode"
    ERROR_NODEDOWN = "ERROR_nodedown"
    ERROR_NODEOFFLINE = "ERROR_nodeoffline"


_WHEREVER: Mapping[GuestStatus, Condition] = {
    GuestStatus.NODE_OFFLINE: Condition.ERROR_NODEOFFLINE,
    GuestStatus.NO_ANSWER: Condition.ERROR_NODEDOWN,
    GuestStatus.ELSEWHERE: Condition.ERROR_WRONGNODE,
}
_AS_WANTED: Mapping[tuple[GuestStatus, Wanted], Condition] = {
    (GuestStatus.RUNNING, Wanted.UP): Condition.RUNNING,
    (GuestStatus.RUNNING, Wanted.DOWN): Condition.ERROR_UP,
    (GuestStatus.RUNNING, Wanted.OFFLINE): Condition.ERROR_UP,
    (GuestStatus.ABSENT, Wanted.UP): Condition.ERROR_DOWN,
    (GuestStatus.ABSENT, Wanted.DOWN): Condition.ADMIN_DOWN,
    (GuestStatus.ABSENT, Wanted.OFFLINE): Condition.ADMIN_OFFLINE,
}


def condition(seen: GuestStatus, wanted: Wanted, by: WantedBy = WantedBy.ADMIN) -> Condition:
    """Return the status of an instance that was set to ``wanted`` by its administrator or its
    user."""
    found = _WHEREVER.get(seen) or _AS_WANTED[seen, wanted]
    if found is Condition.ADMIN_DOWN and by is WantedBy.USER:
        return Condition.USER_DOWN
    return found
