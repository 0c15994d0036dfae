# SPDX-License-Identifier: BSD-2-Clause
"""What a node keeps for a guest outside of its disks, as a part of its backups.

Each kind is a file in the manifest, whose name begins with the kind. What a backup has not, or what
does not fit, never keeps it from being restored, but the job says so.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.errors import Failed, Refused
from ganeti.model.backups import BackupSummary, StateFile, pack_state, unpack_state
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.parameters.kvm import BIOS
from ganeti.operations.instance.moves.firmware_state import describe_loss, has_state, name_state
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import ReadFirmwareVariables, StoreFirmwareVariables

FIRMWARE_STATE = "firmware-state"
"""The kind of the file with UEFI variables and a TPM; its name says of which firmware they are."""


@dataclass(frozen=True)
class CollectedState:
    """The files in a backup; ``problem`` says what is not among them."""

    files: tuple[StateFile, ...] = ()
    problem: str = ""


async def collect_state(guest: Guest, node: Node, tools: Tools) -> CollectedState:
    """Read what a node keeps for a guest, which may run."""
    if not has_state(guest):
        return CollectedState()
    try:
        content = await tools.nodes.ask(node, ReadFirmwareVariables(guest=guest))
    except (Failed, Refused) as error:
        what = f"the backup has no {name_state(guest)} of {guest.name}"
        return CollectedState(problem=f"{what}: {error}")
    if not content:
        what = (
            f"node {node.name} has no {name_state(guest)} of {guest.name}, and the backup has none"
        )
        return CollectedState(
            problem=f"{what}: the instance was not started yet with this firmware"
        )
    return CollectedState((pack_state(_file_name(guest), base64.b64decode(content)),))


async def restore_state(
    files: Sequence[StateFile], summary: BackupSummary, guest: Guest, node: Node, tools: Tools
) -> None:
    """Keep the files of a backup on the node of a stopped guest; log what cannot be restored."""
    if not has_state(guest):
        return
    found = {each.name: each for each in files if each.name.startswith(FIRMWARE_STATE)}
    chosen = found.get(_file_name(guest))
    if chosen is None:
        others = ", ".join(sorted(name.partition(".")[2] for name in found))
        wanted = name_state(guest)
        why = f"the {wanted} of the firmware {others} only" if others else f"no {wanted}"
        tools.progress.log_message(
            f"backup {summary.id} has {why}; instance {guest.name} keeps what it has, or starts"
            f" {describe_loss(guest)}"
        )
        return
    try:
        content = base64.b64encode(unpack_state(chosen)).decode("ascii")
        await tools.nodes.ask(node, StoreFirmwareVariables(guest=guest, content=content))
    except (Failed, Refused) as error:
        tools.progress.log_message(
            f"cannot restore the {name_state(guest)} of instance {guest.name}: {error}; it starts"
            f" {describe_loss(guest)}"
        )


def _file_name(guest: Guest) -> str:
    """Return the name of the file: the state of one firmware is of no use to another one."""
    tpm = "-tpm" if guest.hvparams.get("kvm_tpm") else ""
    return f"{FIRMWARE_STATE}.{guest.hvparams.get('kvm_firmware', BIOS)}{tpm}"
