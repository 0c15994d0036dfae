# SPDX-License-Identifier: BSD-2-Clause
"""The operation that prepares an export to another cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.locking.names import LockRequest, instance_lock, node_lock, request
from ganeti.opcodes.backup import ExportMode, PrepareExport
from ganeti.operations.backup.handshake import KEY_LIFETIME, proofs
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.transfers import CreateCertificate


@dataclass(frozen=True)
class ExportPreparation:
    """An instance to export."""

    op: PrepareExport
    subject: InstanceContext

    @property
    def locks(self) -> LockRequest:
        subject = self.subject
        return request(
            shared=[instance_lock(subject.instance.uuid), node_lock(subject.primary.uuid)]
        )


def plan(op: PrepareExport, state: ClusterState, facts: NodeAnswers) -> ExportPreparation:
    """Plan the preparation; the instance's node must be online."""
    subject = subject_of(op, state)
    check_online(subject.primary, f"instance {subject.instance.name} cannot be exported")
    return ExportPreparation(op, subject)


async def run(plan: ExportPreparation, tools: Tools) -> dict[str, object] | None:
    if plan.op.mode is ExportMode.LOCAL:
        return None
    ours = await proofs(tools)
    made = await tools.nodes.ask(plan.subject.primary, CreateCertificate(validity=KEY_LIFETIME))
    return {
        "handshake": ours.handshake(),
        "x509_key_name": ours.sign_key_name(made.name),
        "x509_ca": ours.certificate(made.certificate),
    }


OPERATION = Operation(PrepareExport, plan, run)
