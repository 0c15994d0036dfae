# SPDX-License-Identifier: BSD-2-Clause
"""The operation that reinstalls the operating system of a stopped instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.objects import update
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest
from ganeti.model.guest import Guest
from ganeti.model.parameters.filling import fill_os
from ganeti.opcodes.instance.lifecycle import ReinstallInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.images.copies import require_image
from ganeti.operations.images.image_names import check_fits, recorded_image, resolve_name
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import (
    attach_disks,
    detach_disks,
    detach_finally,
)
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.os_check import check_installable, make_os_query
from ganeti.operations.instance.running_check import (
    check_stopped,
    determine_presence,
    presence_queries,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import InstallOS
from ganeti.rpc.node import DescribeNode, DescribeOSes, ValidateOS
from ganeti.schema.records import replace
from ganeti.schema.types import Value


@dataclass(frozen=True)
class ReinstallationPlan:
    """An instance to reinstall."""

    op: ReinstallInstance
    subject: InstanceContext
    os: str
    osparams: Mapping[str, Value]

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: ReinstallInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    present = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    guest = _make_guest(op, subject, state)
    checked = make_os_query(guest, subject.primary, force_variant=op.force_variant)
    return [
        *([checked] if guest.os else ()),
        *(NodeQuery([subject.primary], call) for call in (present, DescribeOSes())),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: ReinstallInstance, state: ClusterState, facts: NodeAnswers) -> ReinstallationPlan:
    """Plan the reinstallation; the instance must be stopped."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    check_online(node, f"instance {instance.name} cannot be reinstalled")
    check_stopped(determine_presence(subject, state, facts))
    guest = _make_guest(op, subject, state)
    if not guest.os:
        raise Refused(f"instance {instance.name} has no OS definition; give one")
    check_installable(
        guest,
        facts.answer_of(node, DescribeOSes),
        node.name,
        state.cluster,
        force_variant=op.force_variant,
    )
    facts.answer_of(node, ValidateOS)
    installed = replace(instance, os=guest.os)
    check_fits(installed, guest.osparams, [disk.size for disk in subject.disks], state)
    return ReinstallationPlan(op, subject, guest.os, _resolve_osparams(op, subject, state))


def _make_guest(op: ReinstallInstance, subject: InstanceContext, state: ClusterState) -> Guest:
    """Return the guest to install."""
    instance = replace(subject.instance, os=op.os_type or subject.instance.os)
    return make_guest(state, instance, osparams=_resolve_osparams(op, subject, state))


def _resolve_osparams(
    op: ReinstallInstance, subject: InstanceContext, state: ClusterState
) -> dict[str, object]:
    """Return the given OS parameters, with the digest of the image of the library, if it is one.

    It is the digest that the instance has recorded, unless another image is given.

    :raises Refused: the library has no such image.
    """
    given = _given_osparams(op)
    instance = replace(subject.instance, os=op.os_type or subject.instance.os)
    filled = {**fill_os(state.cluster, instance), **given}
    if "image" in given:
        return resolve_name(instance.os, given, filled, state)
    image = recorded_image(instance, filled, state)
    return given if image is None else {**given, "checksum": image.digest}


def _given_osparams(op: ReinstallInstance) -> dict[str, object]:
    given = (op.osparams, op.osparams_private, op.osparams_secret)
    return {name: value for each in given for name, value in (each or {}).items()}


async def run(plan: ReinstallationPlan, tools: Tools) -> None:
    instance, disks = plan.subject.instance, plan.subject.disks
    installed = replace(instance, os=plan.os)
    guest = make_guest(tools.config.state(), installed, osparams=plan.osparams)
    # First, as it may fail.
    await require_image(installed, guest, plan.subject.primary, tools)
    if plan.os != instance.os:
        await tools.config.change(update(instance, os=plan.os))
    state = tools.config.state()
    detach = partial(detach_disks, state, instance, disks, tools)
    guest = make_guest(state, state.instances[instance.uuid], osparams=plan.osparams)
    async with Undo(tools.progress) as undo:
        # Before the call: if it fails, some of the disks may be attached.
        undo.by(f"detach the disks of {instance.name}", detach)
        await attach_disks(state, instance, disks, tools)
        tools.progress.log_message(f"installing {plan.os} on {instance.name}")
        install = InstallOS(guest=guest, reinstall=True, debug=plan.op.debug_level or 0)
        await tools.nodes.ask(plan.subject.primary, install)
    await detach_finally(state, instance, disks, tools)


def hooks(plan: ReinstallationPlan, state: ClusterState) -> HookCall:
    return instance_hooks("instance-reinstall", plan.subject, state, {})


OPERATION = Operation(ReinstallInstance, plan, run, questions, hooks)
