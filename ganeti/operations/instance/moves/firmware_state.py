# SPDX-License-Identifier: BSD-2-Clause
"""What the node of an instance keeps for its guest outside of its disks: UEFI variables, and the
state of its TPM.

The variables have the boot entries of the guest. Without them, its firmware boots from the path
that all systems have for removable media, EFI/BOOT/BOOTX64.EFI. A TPM has keys, which a guest may
need to decrypt its disks; systems that do so have recovery keys. So losing either never keeps an
operation from moving an instance, but the job says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import Failed, Refused
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.parameters.kvm import BIOS
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import ReadFirmwareVariables, StoreFirmwareVariables


def has_state(guest: Guest) -> bool:
    """Return whether the node of a guest keeps anything for it outside of its disks."""
    return bool(_list_losses(guest))


def name_state(guest: Guest) -> str:
    """Return the words for what a node keeps for a guest outside of its disks."""
    words = []
    if str(guest.hvparams.get("kvm_firmware", BIOS)) != BIOS:
        words.append("UEFI variables")
    if guest.hvparams.get("kvm_tpm"):
        words.append("state of a TPM")
    return " and ".join(words)


def describe_loss(guest: Guest) -> str:
    """Return how a guest starts without what its node keeps for it; empty if that is nothing."""
    return " and ".join(_list_losses(guest))


def _list_losses(guest: Guest) -> list[str]:
    losses = []
    if str(guest.hvparams.get("kvm_firmware", BIOS)) != BIOS:
        losses.append(
            "with new UEFI variables, without its boot entries, from EFI/BOOT/BOOTX64.EFI"
        )
    if guest.hvparams.get("kvm_tpm"):
        losses.append(
            "with a new TPM, without its keys (disks that are encrypted with them need their"
            " recovery key)"
        )
    return losses


async def copy_state(guest: Guest, source: Node, target: Node, tools: Tools) -> None:
    """Copy what a node keeps for a stopped guest to its new node; log it if this is impossible."""
    if not has_state(guest):
        return
    lost = f"instance {guest.name} will start on node {target.name} {describe_loss(guest)}"
    if source.offline:
        tools.progress.log_message(f"node {source.name} is marked offline; {lost}")
        return
    try:
        content = await tools.nodes.ask(source, ReadFirmwareVariables(guest=guest))
        # Also if there is nothing: something may be there from an earlier stay.
        await tools.nodes.ask(target, StoreFirmwareVariables(guest=guest, content=content))
    except (Failed, Refused) as error:
        tools.progress.log_message(f"cannot copy the state of the firmware: {error}; {lost}")


async def remove_state(guest: Guest, nodes: Sequence[Node], tools: Tools) -> None:
    """Remove what nodes keep for a guest that is not there any more; log what remains.

    There may be some from a time when it had another firmware, or a TPM.
    """
    if "kvm_firmware" not in guest.hvparams:
        return
    drop = StoreFirmwareVariables(guest=guest, content="")
    online = [node for node in nodes if not node.offline]
    for error in (await tools.nodes.ask_all(online, drop)).values():
        if isinstance(error, Failed):
            tools.progress.log_message(
                f"cannot remove the state of the firmware of instance {guest.name}: {error}"
            )
