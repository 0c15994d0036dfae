# SPDX-License-Identifier: BSD-2-Clause
"""Enrolment of new nodes: the two calls that unauthenticated peers may make.

A new node first requests the certificate of the authority and compares it with the fingerprint in
its token. Having verified its peer, it sends the token and a certificate signing request. These are
forwarded to the local master daemon, because only the master can guarantee that a token is used
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec

from ganeti.errors import Code, Invalid, Refused
from ganeti.paths import Paths
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL, Application
from ganeti.rpc.wire import success
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

Forward: TypeAlias = Callable[[Application], Awaitable[dict[str, object] | None]]
"""Sends an application to the local master daemon; returns a membership, or None if none runs."""


class EnrolmentForwarder:
    """Forwards applications; ``forward`` sends them to the master daemon on this host."""

    def __init__(self, files: IFiles, paths: Paths, forward: Forward) -> None:
        self._files = files
        self._paths = paths
        self._forward = forward

    def open(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """Return the handlers of the calls that unauthenticated peers may make."""
        return {AUTHORITY_CALL: self.authority, ENROL_CALL: self.enrol}

    async def authority(self, _: bytes) -> bytes:
        """Return the certificate of the authority, which is public."""
        return success(self._files.read(self._paths.authority).decode("ascii"))

    async def enrol(self, body: bytes) -> bytes:
        """Return a certificate for the node that a token invites.

        :raises Invalid: the body is not an application.
        :raises Refused: this node is not the master; the message names the master.
        """
        try:
            application = msgspec.json.decode(body, type=Application)
        except UNREADABLE as e:
            raise Invalid(f"not an application for a certificate: {e}") from None
        membership = await self._forward(application)
        if membership is None:
            raise Refused(
                f"no master daemon runs on this node, and nodes join through the master; the master"
                f" is {self._read_master_name()}; create a new token there with gnt-node add",
                Code.STATE,
            )
        return success(membership)

    def _read_master_name(self) -> str:
        path = f"{self._paths.data}/ssconf_master_node"
        if self._files.stat(path) is None:
            return "unknown to this node"
        return self._files.read(path).decode("utf-8", "replace").strip()
