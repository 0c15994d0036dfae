# SPDX-License-Identifier: BSD-2-Clause
"""The processors of the host that each virtual processor of a guest may use.

``cpu_mask`` is one mask for the whole QEMU, which ``taskset`` starts, or one for each virtual
processor, separated by colons (gnt-instance(8)). Those are threads, which QEMU tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.monitor import Monitor
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.processor_masks import has_mask_for_each
from ganeti.system.interfaces import IFiles, IProcesses

_ALL = "all"
_TIMEOUT = 10.0


def affinity_options(kvm: Kvm) -> Iterator[str]:
    """Yield the words before those of QEMU that restrict all its threads."""
    # They inherit the processors that it may use, from its start on.
    if kvm.cpu_mask != _ALL and not has_mask_for_each(kvm.cpu_mask):
        yield from ("taskset", "--cpu-list", kvm.cpu_mask)


async def pin_processors(
    qemu: Monitor, kvm: Kvm, pid: int, files: IFiles, processes: IProcesses
) -> None:
    """Restrict each virtual processor of the QEMU ``pid`` to its mask.

    :raises Failed: a mask has none of the host's processors.
    """
    masks = kvm.cpu_mask.split(":")
    for each in await qemu.execute("query-cpus-fast"):
        mask, thread = masks[int(each["cpu-index"])], int(each["thread-id"])
        if mask == _ALL:
            continue
        # The number comes from a process of a guest.
        if files.stat(f"/proc/{pid}/task/{thread}/stat") is None:
            raise Failed(f"thread {thread} is none of QEMU's", Code.ENVIRONMENT)
        argv = ["taskset", "--cpu-list", "--pid", mask, str(thread)]
        finished = await processes.run(argv, timeout=_TIMEOUT)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            raise Failed(
                f"cpu_mask: the processors {mask} of this node cannot be used: {said}",
                Code.ENVIRONMENT,
            )
