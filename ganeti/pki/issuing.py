# SPDX-License-Identifier: BSD-2-Clause
"""Issuing a node's certificate in a process of its own.

So the authority's key is in the memory of no daemon.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ganeti.errors import Code, Failed, Invalid
from ganeti.system.interfaces import IProcesses
from ganeti.system.subprocess_modules import finding_modules

TIMEOUT = 60.0
"""Seconds."""

_INVALID = 3
"""The exit code for a request that is none."""


class Issue(Protocol):
    """Makes certificates with the authority's key."""

    async def __call__(self, request: bytes, names: Sequence[str]) -> bytes:
        """The certificate, PEM, for the key in a signing request, but for these names.

        :raises Invalid: the request is none, or not signed by the key that it names.
        :raises Failed: the authority cannot be used.
        """
        ...


@dataclass(frozen=True)
class IssuingProgram:
    """Issues with the authority in two files, by running this module."""

    processes: IProcesses
    certificate: str
    key: str

    async def __call__(self, request: bytes, names: Sequence[str]) -> bytes:
        """See ``Issue``."""
        command = [sys.executable, "-m", __name__, self.certificate, self.key, *names]
        ended = await self.processes.run(
            command, env=finding_modules(), stdin=request, timeout=TIMEOUT
        )
        if ended.code == 0:
            return ended.out
        why = ended.err.decode("utf-8", "replace").strip()
        if ended.code == _INVALID:
            raise Invalid(why)
        raise Failed(why or f"no certificate was made: exit code {ended.code}", Code.ENVIRONMENT)


def main(arguments: Sequence[str], request: bytes, now: Callable[[], float] = time.time) -> bytes:
    """The certificate for a request; arguments are the authority's two files, and the names."""
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
        sys.exit(_INVALID if isinstance(e, Invalid) else 1)
