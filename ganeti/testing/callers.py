# SPDX-License-Identifier: BSD-2-Clause
"""Callers of a node whose roles a test decides."""

from __future__ import annotations

from ganeti.rpc.callers import CallerRole, Peer, RpcCaller

MASTER = RpcCaller(CallerRole.MASTER, "node1", local=True)
"""The master on the node that is called, who may make every call."""


class FixedCallers:
    """``Callers`` that knows peers by fingerprint; all others are unauthenticated.

    A test changes ``roles`` to promote, demote and revoke.
    """

    def __init__(self, roles: dict[str, CallerRole] | None = None, *, name: str = "node1") -> None:
        self.roles = roles or {}
        self._name = name

    def identify(self, peer: Peer | None) -> RpcCaller:
        if peer is None:
            return RpcCaller(CallerRole.UNAUTHENTICATED, "a peer without a certificate")
        role = self.roles.get(peer.fingerprint, CallerRole.UNAUTHENTICATED)
        return RpcCaller(role, peer.name, local=peer.name == self._name)


class AnyCaller:
    """``Callers`` to whom every peer with a certificate is the master on this node."""

    def identify(self, peer: Peer | None) -> RpcCaller:
        return RpcCaller(CallerRole.UNAUTHENTICATED, "nobody") if peer is None else MASTER
