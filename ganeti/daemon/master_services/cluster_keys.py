# SPDX-License-Identifier: BSD-2-Clause
"""The keys and secrets of the cluster on the master's host.

No daemon has the authority's key in memory, except while a new one is being put into use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.daemon.process.key_program import KeyProgram
from ganeti.operations.operation import NewAuthority
from ganeti.paths import Paths
from ganeti.pki.enrolment import certificates, extract_first_certificate
from ganeti.system.interfaces import IFiles, IProcesses


@dataclass(frozen=True)
class LocalClusterKeys:
    """Generates keys by running ``ganeti.bootstrap.secret_renewal``; see
    ``operation.ClusterKeys``."""

    processes: IProcesses
    files: IFiles
    paths: Paths

    async def renew_secrets(self) -> None:
        await self._run("secrets")

    async def renew_rapi(self) -> None:
        await self._run("rapi")

    async def cover_names(self, names: Sequence[str]) -> None:
        """Renew the certificate of the remote API, unless it is for all of these names.

        :raises Failed: that is not possible.
        """
        await self._run("rapi-names", *names)

    async def generate_authority(self, cluster: str) -> NewAuthority:
        made = await self._run("authority", cluster)
        certificate = extract_first_certificate(made)
        return NewAuthority(certificate, made[: made.index(certificate.encode("ascii"))])

    async def use_authority(self, key: bytes) -> None:
        await self.files.replace(self.paths.authority_key, key, mode=0o600)

    async def issuing_authority(self) -> str | None:
        return (await self._run("issuer")).decode("ascii") or None

    async def trusted_authorities(self) -> Sequence[str]:
        return certificates(self.files.read(self.paths.authority))

    async def _run(self, *arguments: str) -> bytes:
        program = KeyProgram(
            self.processes,
            self.paths,
            "ganeti.bootstrap.secret_renewal",
            "new keys or secrets could not be generated",
        )
        return await program.run(*arguments)
