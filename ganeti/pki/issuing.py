# SPDX-License-Identifier: BSD-2-Clause
"""Issuing of node certificates in a separate process.

The authority's key is therefore never in the memory of a daemon.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ganeti.errors import Code, Failed, Invalid
from ganeti.system.interfaces import IProcesses
from ganeti.system.subprocess_modules import module_environment

TIMEOUT = 60.0
"""Seconds."""

_INVALID_REQUEST = 3
"""The exit code for a malformed request."""


class CertificateIssuer(Protocol):
    """Issues certificates with the authority's key."""

    async def __call__(self, request: bytes, names: Sequence[str]) -> bytes:
        """Return a PEM certificate for the key in a signing request, with these names.

        :raises Invalid: the request is malformed, or not signed with its own key.
        :raises Failed: the authority is unusable.
        """
        ...


@dataclass(frozen=True)
class IssuingProgram:
    """Issues with the authority in two files, by running this module."""

    processes: IProcesses
    certificate: str
    key: str

    async def __call__(self, request: bytes, names: Sequence[str]) -> bytes:
        """See ``CertificateIssuer``."""
        command = [sys.executable, "-m", __name__, self.certificate, self.key, *names]
        ended = await self.processes.run(
            command, env=module_environment(), stdin=request, timeout=TIMEOUT
        )
        if ended.code == 0:
            return ended.out
        why = ended.err.decode("utf-8", "replace").strip()
        if ended.code == _INVALID_REQUEST:
            raise Invalid(why)
        raise Failed(
            why or f"the certificate was not issued: exit code {ended.code}", Code.ENVIRONMENT
        )


def main(arguments: Sequence[str], request: bytes, now: Callable[[], float] = time.time) -> bytes:
    """Return the certificate for a request; arguments: the authority's two files, the names."""
    from ganeti.pki.authority import Authority

    certificate, key, *names = arguments
    with open(certificate, "rb") as public, open(key, "rb") as secret:
        authority = Authority.loaded(public.read(), secret.read())
    return authority.grant(request, names, now())


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(main(sys.argv[1:], sys.stdin.buffer.read()))
    except (Failed, Invalid, OSError) as e:
        print(e, file=sys.stderr)
        sys.exit(_INVALID_REQUEST if isinstance(e, Invalid) else 1)
