# SPDX-License-Identifier: BSD-2-Clause
"""The UEFI variables of an instance, which its node keeps outside of its disks.

They have the boot entries of the guest. Without them, its firmware boots from the path that all
systems have for removable media, EFI/BOOT/BOOTX64.EFI. So losing them never keeps an operation from
moving an instance, but the job says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import Failed, Refused
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.model.parameters.kvm import BIOS
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import ReadFirmwareVariables, StoreFirmwareVariables


def has_uefi(guest: Guest) -> bool:
    """Return whether the firmware of a guest keeps variables on its node."""
    return str(guest.hvparams.get("kvm_firmware", BIOS)) != BIOS


async def copy_variables(guest: Guest, source: Node, target: Node, tools: Tools) -> None:
    """Copy the variables of a stopped guest to its new node; log it if this is impossible."""
    if not has_uefi(guest):
        return
    lost = (
        f"instance {guest.name} will start on node {target.name} with new UEFI variables, without"
        " its boot entries, and boot from EFI/BOOT/BOOTX64.EFI"
    )
    if source.offline:
        tools.progress.log_message(f"node {source.name} is marked offline; {lost}")
        return
    try:
        content = await tools.nodes.ask(source, ReadFirmwareVariables(guest=guest))
        # Also if there are none: older ones may be there from an earlier stay.
        await tools.nodes.ask(target, StoreFirmwareVariables(guest=guest, content=content))
    except (Failed, Refused) as error:
        tools.progress.log_message(f"cannot copy the UEFI variables: {error}; {lost}")


async def remove_variables(guest: Guest, nodes: Sequence[Node], tools: Tools) -> None:
    """Remove the variables of a guest from nodes where it is not any more; log what remains.

    It may have some from a time when it had another firmware.
    """
    if "kvm_firmware" not in guest.hvparams:
        return
    drop = StoreFirmwareVariables(guest=guest, content="")
    online = [node for node in nodes if not node.offline]
    for error in (await tools.nodes.ask_all(online, drop)).values():
        if isinstance(error, Failed):
            tools.progress.log_message(
                f"cannot remove the UEFI variables of instance {guest.name}: {error}"
            )
