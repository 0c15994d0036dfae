# SPDX-License-Identifier: BSD-2-Clause
"""Letting new nodes in: the two calls that are answered to strangers.

A stranger first asks for the authority's certificate, compares it with the fingerprint in its
token, and then, sure of whom it talks to, sends the token and a certificate signing request. These
go on to the master daemon on this host: it alone can see to it that a token is spent once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ganeti.errors import Code, Invalid, Refused
from ganeti.paths import Paths
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL, Application
from ganeti.rpc.wire import success
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

Forward: TypeAlias = Callable[[Application], Awaitable[dict[str, Any] | None]]
"""Hands an application to the master daemon on this host: a membership, or None if none runs."""


class EnrolmentForwarder:
    """Hands on what strangers apply for; ``forward`` reaches the master daemon on this host."""

    def __init__(self, files: IFiles, paths: Paths, forward: Forward) -> None:
        self._files = files
        self._paths = paths
        self._forward = forward

    def open(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """What strangers may call."""
        return {AUTHORITY_CALL: self.authority, ENROL_CALL: self.enrol}

    async def authority(self, _: bytes) -> bytes:
        """The authority's certificate, which is no secret."""
        return success(self._files.read(self._paths.authority).decode("ascii"))

    async def enrol(self, body: bytes) -> bytes:
        """A certificate for the node that a token invites.

        :raises Invalid: this is no application.
        :raises Refused: this node is not the master; says which is.
        """
        try:
            application = msgspec.json.decode(body, type=Application)
        except UNREADABLE as e:
            raise Invalid(f"this is no application for a certificate: {e}") from None
        membership = await self._forward(application)
        if membership is None:
            raise Refused(
                f"nodes join through the master, and no master daemon runs here: the master is"
                f" {self._master()}; make a new token there with gnt-node add",
                Code.STATE,
            )
        return success(membership)

    def _master(self) -> str:
        path = f"{self._paths.data}/ssconf_master_node"
        if self._files.stat(path) is None:
            return "not known to this node"
        return self._files.read(path).decode("utf-8", "replace").strip()
