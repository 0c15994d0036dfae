# SPDX-License-Identifier: BSD-2-Clause
"""The one word for how an instance is: what is wanted of it against what its nodes say."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ganeti.model.instance import Wanted, WantedBy


class GuestStatus(enum.Enum):
    """What is known of an instance's guest."""

    RUNNING = "it runs on its primary node"
    ELSEWHERE = "it runs on another node"
    ABSENT = "its primary node does not run it"
    NO_ANSWER = "its primary node does not answer"
    NODE_OFFLINE = "its primary node is marked as offline"


class Condition(enum.StrEnum):
    """The words of the field ``status``."""

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
    """How an instance is that is ``wanted`` so, ``by`` its administrator or its user."""
    found = _WHEREVER.get(seen) or _AS_WANTED[seen, wanted]
    if found is Condition.ADMIN_DOWN and by is WantedBy.USER:
        return Condition.USER_DOWN
    return found
