# SPDX-License-Identifier: BSD-2-Clause
"""Real certificates of a simulated cluster, made once for all simulations of a process."""

from __future__ import annotations

from functools import cache

from ganeti.pki.authority import SERVER_USAGE, Authority, Credentials

CLUSTER = "cluster"


@cache
def authority(now: float) -> Authority:
    """Return the cluster's authority, as it was made at ``now``."""
    return Authority.founded(CLUSTER, now)


@cache
def node_credentials(name: str, address: str, now: float) -> Credentials:
    """Return the key and the certificate of a node."""
    return authority(now).credentials((name, address), now)


@cache
def server_credentials(now: float) -> Credentials:
    """Return the key and the certificate of the remote API."""
    return authority(now).credentials((CLUSTER,), now, usage=SERVER_USAGE)
