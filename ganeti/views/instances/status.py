# SPDX-License-Identifier: BSD-2-Clause
"""The field ``status`` of instances, from the configured state and the state of the guest."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ganeti.model.instance import AdminState, AdminStateSource


class GuestStatus(enum.Enum):
    """Where an instance's guest runs, as far as known."""

    RUNNING = "runs on its primary node"
    ELSEWHERE = "runs on another node"
    ABSENT = "does not run on its primary node"
    NO_ANSWER = "the primary node does not answer"
    NODE_OFFLINE = "the primary node is marked offline"


class InstanceStatus(enum.StrEnum):
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


_INDEPENDENT_OF_ADMIN_STATE: Mapping[GuestStatus, InstanceStatus] = {
    GuestStatus.NODE_OFFLINE: InstanceStatus.ERROR_NODEOFFLINE,
    GuestStatus.NO_ANSWER: InstanceStatus.ERROR_NODEDOWN,
    GuestStatus.ELSEWHERE: InstanceStatus.ERROR_WRONGNODE,
}
_BY_ADMIN_STATE: Mapping[tuple[GuestStatus, AdminState], InstanceStatus] = {
    (GuestStatus.RUNNING, AdminState.UP): InstanceStatus.RUNNING,
    (GuestStatus.RUNNING, AdminState.DOWN): InstanceStatus.ERROR_UP,
    (GuestStatus.RUNNING, AdminState.OFFLINE): InstanceStatus.ERROR_UP,
    (GuestStatus.ABSENT, AdminState.UP): InstanceStatus.ERROR_DOWN,
    (GuestStatus.ABSENT, AdminState.DOWN): InstanceStatus.ADMIN_DOWN,
    (GuestStatus.ABSENT, AdminState.OFFLINE): InstanceStatus.ADMIN_OFFLINE,
}


def condition(
    seen: GuestStatus, wanted: AdminState, by: AdminStateSource = AdminStateSource.ADMIN
) -> InstanceStatus:
    """Return the status of an instance that was set to ``wanted`` by its administrator or its
    user."""
    found = _INDEPENDENT_OF_ADMIN_STATE.get(seen) or _BY_ADMIN_STATE[seen, wanted]
    if found is InstanceStatus.ADMIN_DOWN and by is AdminStateSource.USER:
        return InstanceStatus.USER_DOWN
    return found
