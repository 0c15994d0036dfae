# SPDX-License-Identifier: BSD-2-Clause
"""The values of an instance's fields; values that several fields use are computed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ganeti.model.disk import DRBD_METADATA_SIZE, Disk, Template
from ganeti.model.group import Group
from ganeti.model.guest import GuestState
from ganeti.model.instance import Instance, Nic
from ganeti.model.node import Node
from ganeti.query.fields import FieldStatus
from ganeti.schema.records import list_all_fields
from ganeti.schema.types import Parameters
from ganeti.views.instances.status import GuestStatus, InstanceStatus, condition
from ganeti.views.snapshot import ClusterSnapshot, in_order

NODE_WIDE_PARAMETERS = frozenset(
    {"migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"}
)
"""Hypervisor parameters that apply to all instances of a node, and are not shown for one."""

_WITHOUT_USAGE = frozenset({Template.DISKLESS, Template.BLOCKDEV})


@dataclass(frozen=True)
class NicColumns:
    """A network card with its effective parameters."""

    nic: Nic
    mode: str
    link: str
    vlan: str


class InstanceRow:
    """An instance as of a snapshot."""

    def __init__(self, moment: ClusterSnapshot, instance: Instance) -> None:
        self.moment = moment
        self.instance = instance

    @cached_property
    def node(self) -> Node:
        return self.moment.nodes[self.instance.primary_node]

    @cached_property
    def group(self) -> Group:
        return self.moment.groups[self.node.group]

    @cached_property
    def secondaries(self) -> list[Node]:
        return [
            self.moment.nodes[uuid] for uuid in self.moment.state.get_secondaries(self.instance)
        ]

    @property
    def snapshots(self) -> list[dict[str, object]]:
        """The snapshots as objects for clients; ``reverting`` is an unfinished revert to one."""
        record = self.moment.state.snapshots.get(self.instance.uuid)
        if record is None:
            return []
        return [
            {
                **list_all_fields(each),
                "memory": each.memory is not None,
                "reverting": each.uuid == record.reverting,
            }
            for each in record.snapshots
        ]

    @cached_property
    def groups_of_secondaries(self) -> list[Group]:
        uuids = dict.fromkeys(node.group for node in self.secondaries)
        return [self.moment.groups[uuid] for uuid in uuids]

    @cached_property
    def disks(self) -> list[Disk]:
        disks = self.moment.disks
        return [disks[uuid] for uuid in self.instance.disks]

    @cached_property
    def cards(self) -> list[NicColumns]:
        common = self.moment.cards
        found = []
        for nic in self.instance.nics:
            own = common | nic.nicparams if nic.nicparams else common
            found.append(NicColumns(nic, own["mode"], own["link"], own["vlan"]))
        return found

    @cached_property
    def beparams(self) -> Parameters:
        """The effective backend parameters; ``memory`` is an older name of ``maxmem``."""
        filled = self.moment.backend | self.instance.beparams
        filled["memory"] = filled["maxmem"]
        return filled

    @cached_property
    def hvparams(self) -> Parameters:
        """The effective hypervisor parameters, without node-wide ones."""
        filled = self.moment.hypervisor(self.instance) | self.instance.hvparams
        for name in NODE_WIDE_PARAMETERS:
            filled.pop(name, None)
        return filled

    @cached_property
    def osparams(self) -> Parameters:
        """The effective OS parameters, without private ones."""
        plain, plus, _ = self.instance.os.partition("+")
        known = self.moment.cluster.osparams
        variant = known.get(self.instance.os, {}) if plus else {}
        return {**known.get(plain, {}), **variant, **self.instance.osparams}

    @property
    def template(self) -> str:
        """The disk template; ``mixed`` if the disks differ."""
        kinds = {disk.dev_type for disk in self.disks}
        if len(kinds) > 1:
            return "mixed"
        return kinds.pop().value if kinds else Template.DISKLESS.value

    @property
    def usage(self) -> int:
        """The space that the disks use on each node, in MiB."""
        return sum(
            disk.size + (DRBD_METADATA_SIZE if disk.dev_type is Template.DRBD else 0)
            for disk in self.disks
            if disk.dev_type not in _WITHOUT_USAGE
        )

    # --- values from the nodes

    @cached_property
    def guest(self) -> GuestState | FieldStatus | None:
        """The state of the guest on the primary node; None if it does not run there."""
        said = self.moment.present.status_of(self.instance.primary_node)
        return said if isinstance(said, FieldStatus) else said.guests.get(self.instance.name)

    @property
    def seen(self) -> GuestStatus:
        """Where the guest runs, as far as known."""
        guest = self.guest
        if guest is FieldStatus.OFFLINE:
            return GuestStatus.NODE_OFFLINE
        if isinstance(guest, FieldStatus):
            return GuestStatus.NO_ANSWER
        if guest is not None:
            return GuestStatus.RUNNING
        elsewhere = self.moment.present.runs(self.instance.name)
        return GuestStatus.ELSEWHERE if elsewhere else GuestStatus.ABSENT

    @property
    def condition(self) -> InstanceStatus:
        """The value of the field ``status``."""
        instance = self.instance
        return condition(self.seen, instance.admin_state, instance.admin_state_source)

    def running(self, attribute: str) -> object:
        """Return an attribute of the running guest, or the reason why there is none."""
        guest = self.guest
        if guest is None:
            return FieldStatus.UNAVAILABLE
        return guest if isinstance(guest, FieldStatus) else getattr(guest, attribute)


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[InstanceRow]:
    """Return all instances sorted by name, or those with these names or UUIDs in the given order.

    :raises Refused: if one of the instances does not exist.
    """
    if names is None:
        found = in_order(moment.state.instances.values(), lambda instance: instance.name)
    else:
        found = [moment.state.instance(name) for name in names]
    return [InstanceRow(moment, instance) for instance in found]
