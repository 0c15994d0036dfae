# SPDX-License-Identifier: BSD-2-Clause
"""Requests that wait for events, and go on when the master restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ganeti.errors import Code, Refused
from ganeti.luxi.unreachable import NoAnswer

if TYPE_CHECKING:
    from ganeti.cli.session import Session
    from ganeti.luxi.methods import Request

R = TypeVar("R")

RETRY_SECONDS = 1.0
"""Delay between two attempts to reach a master that does not answer, in seconds."""

RETRIES = 120
"""How many times to try; a failover takes less time than this."""

WAIT_SECONDS = 60
"""Seconds after which a request without events is answered, and repeated."""


def ask_with_retries(session: Session, request: Request[R], *, patient: bool = True) -> R:
    """Return the answer; with ``patient``, retry while the master does not answer.

    It also does not answer before a majority has elected it.
    """
    for left in reversed(range(RETRIES if patient else 1)):
        try:
            return session.ask(request)
        except NoAnswer:
            if not left:
                raise
        except Refused as e:
            if not left or e.code is not Code.TEMPORARY:
                raise
        session.sleep(RETRY_SECONDS)
    raise AssertionError("the last attempt leaves the loop")
