# SPDX-License-Identifier: BSD-2-Clause
"""The memory of a running guest, by QEMU's virtio balloon.

The guest is started with its maximum, and gives the host what is taken from it: its driver fills a
balloon with memory that QEMU releases. QEMU knows the driver's answer only (``query-balloon``), so
a guest without the driver keeps everything, without any error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.kvm.devices import at_slot
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.model.parameters.kvm import Kvm

_MIB = 1 << 20
_DEVICE = "balloon"
_STANDSTILL = 30.0
"""How long a guest may take without any change of its memory, in seconds."""
_TIMEOUT = 600.0
"""How long a guest may take in all, in seconds."""
_POLL_INTERVAL = 0.1


def has_own_balloon(kvm: Kvm) -> bool:
    """Return whether ``kvm_extra`` has a balloon: QEMU refuses a second one."""
    return "virtio-balloon" in kvm.kvm_extra


def balloon_options(slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the memory balloon."""
    options = ["virtio-balloon-pci", f"id={_DEVICE}", *at_slot(_DEVICE, slots)]
    yield from ("-device", ",".join(options))


async def change_memory(
    qemu: Monitor, name: str, maximum: int, memory: int, clock: IReactorTime
) -> None:
    """Change the memory of the running guest ``name`` to ``memory`` MiB, and wait until it has.

    ``maximum`` is what it was started with. If the guest does not give or take the memory, it is
    requested to have as much as before.

    :raises Refused: the guest has no balloon.
    :raises Failed: the guest does not do it.
    """
    # QEMU has a little more memory than configured for some guests, which the guest always keeps.
    whole = int((await qemu.execute("query-memory-size-summary"))["base-memory"])
    wanted = memory * _MIB + max(0, whole - maximum * _MIB)
    before = now = await _read_memory(qemu, name)
    await qemu.execute("balloon", value=wanted)
    began = changed = clock.seconds()
    while now != wanted:
        await deferLater(clock, _POLL_INTERVAL)
        last, now = now, await _read_memory(qemu, name)
        if now != last:
            changed = clock.seconds()
        elif clock.seconds() - changed >= _STANDSTILL or clock.seconds() - began >= _TIMEOUT:
            # Otherwise the guest could follow later, with another size than recorded.
            await qemu.execute("balloon", value=before)
            raise _describe_standstill(name, before // _MIB, now // _MIB, memory)


async def _read_memory(qemu: Monitor, name: str) -> int:
    try:
        return int((await qemu.execute("query-balloon"))["actual"])
    except CommandFailed as error:
        raise Refused(
            f"instance {name} runs without a memory balloon ({error}); restart it: gnt-instance"
            f" reboot {name}",
            Code.STATE,
        ) from error


def _describe_standstill(name: str, before: int, now: int, wanted: int) -> Failed:
    if now == before:
        return Failed(
            f"the guest of instance {name} did not change its memory of {before} MiB within"
            f" {_STANDSTILL:g} s: see that it has booted and has the driver of the memory balloon"
            " (modprobe virtio_balloon in Linux), or change maxmem and restart it",
            Code.STATE,
        )
    return Failed(
        f"the guest of instance {name} came from {before} to {now} MiB and not to {wanted} MiB, as"
        f" it needs its memory; it keeps {before} MiB: stop programs in it, or choose a value above"
        f" {now} MiB",
        Code.STATE,
    )
