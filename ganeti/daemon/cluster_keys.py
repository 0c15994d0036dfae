# SPDX-License-Identifier: BSD-2-Clause
"""The keys and secrets of the cluster on the master's host.

They are made in a process of its own, so the authority's key is in the memory of no daemon, but for
the moment in which a new one comes into use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.operations.operation import NewAuthority
from ganeti.paths import Paths
from ganeti.pki.enrolment import certificates, first_certificate
from ganeti.system.interfaces import IFiles, IProcesses
from ganeti.system.subprocess_modules import finding_modules

TIMEOUT = 60.0
"""Seconds."""


@dataclass(frozen=True)
class LocalClusterKeys:
    """Makes keys by running ``ganeti.bootstrap.secret_renewal``; see ``operation.ClusterKeys``."""

    processes: IProcesses
    files: IFiles
    paths: Paths

    async def renew_secrets(self) -> None:
        await self._run("secrets")

    async def renew_rapi(self) -> None:
        await self._run("rapi")

    async def generate_authority(self, cluster: str) -> NewAuthority:
        made = await self._run("authority", cluster)
        certificate = first_certificate(made)
        return NewAuthority(certificate, made[: made.index(certificate.encode("ascii"))])

    async def use_authority(self, key: bytes) -> None:
        await self.files.replace(self.paths.authority_key, key, mode=0o600)

    async def issuing_authority(self) -> str | None:
        return (await self._run("issuer")).decode("ascii") or None

    async def trusted_authorities(self) -> Sequence[str]:
        return certificates(self.files.read(self.paths.authority))

    async def _run(self, *arguments: str) -> bytes:
        ended = await self.processes.run(
            [sys.executable, "-m", "ganeti.bootstrap.secret_renewal", *arguments],
            env={**finding_modules(), "GANETI_ROOTDIR": self.paths.root},
            timeout=TIMEOUT,
        )
        if ended.code:
            why = ended.err.decode("utf-8", "replace").strip()
            raise Failed(f"no new keys or secrets were made: {why}", Code.ENVIRONMENT)
        return ended.out
