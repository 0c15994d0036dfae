# SPDX-License-Identifier: BSD-2-Clause
"""What every provider of external storage makes of the contract of volumes."""

from __future__ import annotations

from ganeti.errors import Failed
from ganeti.model.disk import Disk, Template
from ganeti.storage.interfaces import IVolumes
from ganeti.testing.builders import a_disk
from tests.contracts.volumes import CopiesContract, VolumesContract


class ExternalVolumesContract(VolumesContract, CopiesContract):
    """Volumes of a provider ``mem``, whose scripts only say that something failed."""

    template = Template.EXT
    reasons = renames = lists = False

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, logical_id=("mem", f"{name}.ext.disk0"))

    def size(self, disk: Disk) -> int | None:
        """Attach the disk for the question: nothing is known of detached ones."""
        return self.done(_measure(self.volumes, disk))


async def _measure(volumes: IVolumes, disk: Disk) -> int | None:
    [status] = await volumes.describe([disk])
    if status is not None and status.path:
        return status.size
    try:
        await volumes.attach(disk, primary=False)
    except Failed:
        return None
    [status] = await volumes.describe([disk])
    await volumes.detach(disk)
    return None if status is None else status.size
