# SPDX-License-Identifier: BSD-2-Clause
"""Whether the master's host has hook scripts, without a call to its node daemon."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class LocalHooks:
    """Looks for directories of hooks in ``folder``; see ``rpc.node.hook_folder``."""

    files: IFiles
    folder: str

    def __call__(self, name: str) -> bool:
        """Return whether there may be scripts in this directory, in one system call.

        If this user cannot find out, there may be.
        """
        try:
            return self.files.stat(f"{self.folder}/{name}") is not None
        except OSError:
            return True
