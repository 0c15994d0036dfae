# SPDX-License-Identifier: BSD-2-Clause
"""The table of operations; to add one, add a module and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ganeti.opcodes.opcode import Opcode
from ganeti.operations import (
    access,
    delay,
    evacuate_group,
    group,
    guest_failover,
    network,
    notifications,
    query_jobs,
    tags,
    unsupported,
)
from ganeti.operations.allocation import test_allocator
from ganeti.operations.backup import (
    back_up,
    backup_upkeep,
    export,
    prepare,
    repositories,
    restore,
    schedules,
)
from ganeti.operations.backup import remove as remove_export
from ganeti.operations.cluster import (
    address,
    balance,
    capacity,
    lifecycle,
    redistribute,
    rehearsal,
    renew,
    repair_disk_sizes,
    rolling_upgrade,
    verify,
    verify_disks,
)
from ganeti.operations.cluster import modify as modify_cluster
from ganeti.operations.cluster import rename as rename_cluster
from ganeti.operations.images import library
from ganeti.operations.instance.create import clone, create, multi_allocate
from ganeti.operations.instance.disks import activate, grow, recreate, replace
from ganeti.operations.instance.lifecycle import (
    console,
    describe,
    reboot,
    reinstall,
    remove,
    rename,
    start,
    stop,
)
from ganeti.operations.instance.modify import modify
from ganeti.operations.instance.moves import change_group, failover, migrate, move
from ganeti.operations.instance.snapshots import creation, revert
from ganeti.operations.instance.snapshots import remove as remove_snapshot
from ganeti.operations.node import add as add_node
from ganeti.operations.node import commands, evacuate, power, storage
from ganeti.operations.node import migrate as migrate_node
from ganeti.operations.node import modify as modify_node
from ganeti.operations.node import remove as remove_node
from ganeti.operations.operation import AnyOperation

_ALL: tuple[AnyOperation, ...] = (
    *address.OPERATIONS,
    *lifecycle.OPERATIONS,
    *rolling_upgrade.OPERATIONS,
    *verify.OPERATIONS,
    *verify_disks.OPERATIONS,
    repair_disk_sizes.OPERATION,
    redistribute.OPERATION,
    renew.OPERATION,
    modify_cluster.OPERATION,
    balance.OPERATION,
    capacity.OPERATION,
    rename_cluster.OPERATION,
    *group.OPERATIONS,
    evacuate_group.OPERATION,
    *network.OPERATIONS,
    *library.OPERATIONS,
    create.OPERATION,
    clone.OPERATION,
    multi_allocate.OPERATION,
    remove.OPERATION,
    creation.OPERATION,
    revert.OPERATION,
    remove_snapshot.OPERATION,
    start.OPERATION,
    stop.OPERATION,
    reboot.OPERATION,
    reinstall.OPERATION,
    console.OPERATION,
    describe.OPERATION,
    activate.ACTIVATE,
    activate.DEACTIVATE,
    failover.OPERATION,
    migrate.OPERATION,
    move.OPERATION,
    change_group.OPERATION,
    replace.OPERATION,
    grow.OPERATION,
    rename.OPERATION,
    recreate.OPERATION,
    modify.OPERATION,
    add_node.OPERATION,
    remove_node.OPERATION,
    modify_node.OPERATION,
    migrate_node.OPERATION,
    evacuate.OPERATION,
    power.OPERATION,
    commands.OPERATION,
    *storage.OPERATIONS,
    prepare.OPERATION,
    export.OPERATION,
    remove_export.OPERATION,
    *repositories.OPERATIONS,
    back_up.OPERATION,
    restore.OPERATION,
    *backup_upkeep.OPERATIONS,
    *schedules.OPERATIONS,
    *query_jobs.OPERATIONS,
    *tags.OPERATIONS,
    *access.OPERATIONS,
    *notifications.OPERATIONS,
    *guest_failover.OPERATIONS,
    *rehearsal.OPERATIONS,
    delay.OPERATION,
    test_allocator.OPERATION,
    *unsupported.OPERATIONS,
)

OPERATIONS: Mapping[type[Opcode], AnyOperation] = MappingProxyType(
    {operation.opcode: operation for operation in _ALL}
)
