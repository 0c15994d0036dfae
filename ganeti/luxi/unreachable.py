# SPDX-License-Identifier: BSD-2-Clause
"""What keeps a client from its master, in words that say what to do about it."""

from __future__ import annotations

import errno

from ganeti.errors import GanetiError


class Unanswered(GanetiError):
    """There was no answer from the master."""

    wire = "LuxiError"


class MasterAway(Unanswered):
    """No master daemon takes requests here, so nothing was done."""


class NotPermitted(Unanswered):
    """The socket of the master is closed to this user."""


class ConnectionLost(Unanswered):
    """The master went away before it answered; what was asked may have been done or not."""


class TimedOut(Unanswered):
    """The master did not answer in time; what was asked may still be done."""


def not_connected(path: str, number: int | None, text: str) -> Unanswered:
    """Why connecting to the socket ``path`` failed with the error ``number`` (see ``errno``)."""
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"{path} is closed to this user; use root, or a user in the group of that socket"
        )
    if number in (errno.ENOENT, errno.ECONNREFUSED):
        return MasterAway(
            f"the master daemon is not running: nothing listens at {path}; start ganeti-masterd,"
            " or use the node that is the master"
        )
    return MasterAway(f"the master daemon cannot be reached at {path}: {text}")


def lost(method: str, changes: bool) -> ConnectionLost:
    """The connection broke while ``method`` was under way."""
    advice = "; look at the list of jobs before you ask again" if changes else "; ask again"
    return ConnectionLost(f"the master daemon went away before it answered {method}{advice}")


def timed_out(method: str, seconds: float) -> TimedOut:
    return TimedOut(
        f"the master daemon did not answer {method} within {seconds:g} seconds;"
        " see its log on the master node"
    )
