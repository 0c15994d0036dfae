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
from ganeti.operations.instance.moves.uefi_variables import has_uefi
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import ReadFirmwareVariables, StoreFirmwareVariables

UEFI_VARIABLES = "uefi-variables"
"""The kind of the file with UEFI variables; the name of the file has the firmware, too."""

_EFFECT = "it boots from EFI/BOOT/BOOTX64.EFI unless its system adds its boot entry again"


@dataclass(frozen=True)
class CollectedState:
    """The files in a backup; ``problem`` says what is not among them."""

    files: tuple[StateFile, ...] = ()
    problem: str = ""


async def collect_state(guest: Guest, node: Node, tools: Tools) -> CollectedState:
    """Read what a node keeps for a guest, which may run."""
    if not has_uefi(guest):
        return CollectedState()
    try:
        content = await tools.nodes.ask(node, ReadFirmwareVariables(guest=guest))
    except (Failed, Refused) as error:
        return CollectedState(problem=f"the backup has no UEFI variables of {guest.name}: {error}")
    if not content:
        what = f"node {node.name} has no UEFI variables of {guest.name}, and the backup has none"
        return CollectedState(
            problem=f"{what}: the instance was not started yet with this firmware"
        )
    return CollectedState((pack_state(_file_name(guest), base64.b64decode(content)),))


async def restore_state(
    files: Sequence[StateFile], summary: BackupSummary, guest: Guest, node: Node, tools: Tools
) -> None:
    """Keep the files of a backup on the node of a stopped guest; log what cannot be restored."""
    if not has_uefi(guest):
        return
    found = {each.name: each for each in files if each.name.startswith(UEFI_VARIABLES)}
    chosen = found.get(_file_name(guest))
    if chosen is None:
        others = ", ".join(sorted(name.partition(".")[2] for name in found))
        why = f"only those of the firmware {others}" if others else "no UEFI variables"
        tools.progress.log_message(
            f"backup {summary.id} has {why}; instance {guest.name} keeps those that it has, or gets"
            f" new ones: {_EFFECT}"
        )
        return
    try:
        content = base64.b64encode(unpack_state(chosen)).decode("ascii")
        await tools.nodes.ask(node, StoreFirmwareVariables(guest=guest, content=content))
    except (Failed, Refused) as error:
        tools.progress.log_message(
            f"cannot restore the UEFI variables of instance {guest.name}: {error}; {_EFFECT}"
        )


def _file_name(guest: Guest) -> str:
    """Return the name of the file: variables of one firmware are of no use to another one."""
    return f"{UEFI_VARIABLES}.{guest.hvparams.get('kvm_firmware', BIOS)}"
