# SPDX-License-Identifier: BSD-2-Clause
"""A reactor in memory whose resolver of host names never answers."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer


@implementer(IHostResolution)
class Resolution:
    """A query that ends, without any address, only if it is canceled."""

    def __init__(self, name: str, receiver: IResolutionReceiver) -> None:
        self.name = name
        self._receiver = receiver

    def cancel(self) -> None:
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class SilentResolver:
    def resolveHostName(
        self, resolutionReceiver: IResolutionReceiver, hostName: str, *_: Any, **__: Any
    ) -> IHostResolution:
        resolution = Resolution(hostName, resolutionReceiver)
        resolutionReceiver.resolutionBegan(resolution)
        return resolution


@implementer(IReactorPluggableNameResolver)
class SilentResolverReactor(MemoryReactorClock):
    """Time passes by ``advance``; host names are never resolved."""

    nameResolver = SilentResolver()
