# SPDX-License-Identifier: BSD-2-Clause
"""The files on this host that the master distributes to all candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class LocalAncillaryFiles:
    """The files that are distributed to master candidates."""

    files: IFiles
    paths: Paths

    async def read(self) -> Sequence[AncillaryFile]:
        found = []
        for path, mode in {**self.paths.shared_files, **self.paths.store_files}.items():
            if self.files.stat(path) is not None:
                content = self.files.read(path)
                found.append(AncillaryFile(path.removeprefix(self.paths.root), content, mode))
        return found
