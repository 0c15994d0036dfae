# SPDX-License-Identifier: BSD-2-Clause
"""The time that a request to a server of others may take."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


def limit_time(request: Deferred[T], seconds: float, clock: IReactorTime) -> Deferred[T]:
    """Cancel a request after so many seconds; it then fails with Twisted's ``TimeoutError``.

    Without this, the error would depend on how far the request is: an attempt to connect that is
    canceled fails with ``ConnectingCancelledError``, or as if the host name did not exist.
    """
    return request.addTimeout(seconds, clock, onTimeoutCancel=_fail_with_timeout)


def _fail_with_timeout(result: object, seconds: float) -> Failure:
    return Failure(TimeoutError(seconds, "Deferred"))
