# SPDX-License-Identifier: BSD-2-Clause
"""Failover of guests: what each instance wants, and what is recorded about nodes that are fenced.

``config.data`` has no place for these records, so they are in ``access.json``. They are small, and
most instances and nodes have none.
"""

from __future__ import annotations

import enum

from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Number, Positive


class FailoverPolicy(enum.StrEnum):
    """The action for an instance that has stopped unexpectedly.

    Restarts are always made on the same node; with ``off``, by the watcher only.
    """

    OFF = "off"
    RESTART = "restart"
    FAILOVER = "failover"


class InstanceFailover(Record):
    """The policy of an instance; ``uuid`` is the instance's.

    Instances with a higher ``rank`` start first, and get the memory if there is not enough.
    """

    uuid: Line
    policy: FailoverPolicy = FailoverPolicy.OFF
    rank: Count = 0


class FailoverSettings(Record):
    """The settings of the cluster; ``uuid`` is the cluster's.

    During ``maintenance``, no node is fenced, and none loses its guests. At most ``max_nodes`` are
    fenced without a person's decision within ``window`` seconds. With ``require_device``, a node
    without a watchdog device is fenced only by its out-of-band helper, or by a person.
    """

    uuid: Line
    maintenance: bool = False
    max_nodes: Positive = 1
    window: Count = 1800
    require_device: bool = False


class NodeMaintenance(Record):
    """A node in maintenance, which is not fenced; ``uuid`` is the node's."""

    uuid: Line
    since: Number


class GuardKind(enum.StrEnum):
    """What ends the guests of a node whose lease has ended.

    A ``device`` resets the host even if its kernel hangs. A ``process`` kills the guests, which is
    weaker: it needs a kernel that works and a process that runs.
    """

    DEVICE = "device"
    PROCESS = "process"


class NodeGuard(Record):
    """A node whose guests certainly end when its lease has ended; ``uuid`` is the node's.

    It exists only while the node is known to be guarded, and is removed before the node is told
    that it need not be. ``timeout`` is the time-out of the device in seconds. ``electors`` are
    the groups of nodes, by name, a majority of one of which can extend the lease.
    """

    uuid: Line
    kind: GuardKind
    timeout: Count
    electors: tuple[tuple[Line, ...], ...]


class FenceStage(enum.StrEnum):
    """How far the fencing of a node is: decided, confirmed."""

    FENCING = "fencing"
    FENCED = "fenced"


class FenceMethod(enum.StrEnum):
    """What has confirmed that no guest runs on a node."""

    NONE = "none"
    POWER = "power"
    DEVICE = "device"
    PROCESS = "process"
    PERSON = "person"


class NodeFence(Record):
    """A node that is being fenced, or was fenced and has not rejoined; ``uuid`` is the node's.

    ``since`` is the time of the decision in seconds since the epoch. ``candidate`` is whether the
    node was a master candidate, and becomes one again when it rejoins.
    """

    uuid: Line
    since: Number
    reason: Line
    stage: FenceStage = FenceStage.FENCING
    method: FenceMethod = FenceMethod.NONE
    candidate: bool = False


class FenceHistory(Record):
    """When nodes were fenced without a person's decision, for the limit; ``uuid`` is the cluster's.

    The times are in seconds since the epoch, the newest last.
    """

    uuid: Line
    times: tuple[Number, ...] = ()
