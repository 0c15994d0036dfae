# SPDX-License-Identifier: BSD-2-Clause
"""What operations respect about the snapshots of an instance."""

from __future__ import annotations

from ganeti.config.changes.snapshots import list_snapshots_of
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.instance import Instance
from ganeti.model.instance_snapshots import Snapshot


def find_snapshot(state: ClusterState, instance: Instance, name: str) -> Snapshot:
    """Return a snapshot of an instance by its name.

    :raises Refused: there is none; the message names those that there are.
    """
    found = list_snapshots_of(state, instance)
    for each in found:
        if each.name == name:
            return each
    others = ", ".join(each.name for each in found) or "none"
    raise Refused(
        f"instance {instance.name} has no snapshot {name}; its snapshots: {others}", Code.UNKNOWN
    )


def check_no_snapshots(state: ClusterState, instance: Instance, consequence: str) -> None:
    """Check that an instance has no snapshots; ``consequence`` is why it must not have any.

    :raises Refused: it has; the message says how to remove them.
    """
    found = list_snapshots_of(state, instance)
    if found:
        names = ", ".join(each.name for each in found)
        raise Refused(
            f"instance {instance.name} has snapshots ({names}), {consequence}; remove them first:"
            f" gnt-instance snapshot remove {instance.name} {found[0].name}"
        )


def check_not_reverting(state: ClusterState, instance: Instance) -> None:
    """Check that all disks of an instance are of the same time.

    :raises Refused: a revert was interrupted; the message says how to complete it.
    """
    record = state.snapshots.get(instance.uuid)
    if record is None or not record.reverting:
        return
    known = {each.uuid: each.name for each in record.snapshots}
    name = known.get(record.reverting, "NAME")
    raise Refused(
        f"the disks of instance {instance.name} were not all reverted to snapshot {name}; repeat"
        f" this: gnt-instance snapshot revert {instance.name} {name}"
    )
