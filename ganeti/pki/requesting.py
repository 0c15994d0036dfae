# SPDX-License-Identifier: BSD-2-Clause
"""Making a new key and a signing request for it in a process of its own.

A daemon that did it itself would keep the cryptography, 8 MiB, for as long as it runs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.system.interfaces import IProcesses
from ganeti.system.modules import finding_modules

PATIENCE = 60.0
"""Seconds."""

_REQUEST = b"-----BEGIN CERTIFICATE REQUEST-----"


@dataclass(frozen=True)
class RequestingProgram:
    """Makes keys by running this module."""

    processes: IProcesses

    async def __call__(self, name: str) -> tuple[bytes, bytes]:
        """A new private key and a signing request for it, both PEM.

        :raises Failed: none was made; says why.
        """
        command = [sys.executable, "-m", __name__, name]
        ended = await self.processes.run(command, env=finding_modules(), timeout=PATIENCE)
        key, found, request = ended.out.partition(_REQUEST)
        if ended.code != 0 or not found:
            why = ended.err.decode("utf-8", "replace").strip()
            raise Failed(why or f"no key was made: exit code {ended.code}", Code.ENVIRONMENT)
        return key, found + request


if __name__ == "__main__":
    from ganeti.pki.authority import new_request

    for part in new_request(sys.argv[1]):
        sys.stdout.buffer.write(part)
