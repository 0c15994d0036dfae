# SPDX-License-Identifier: BSD-2-Clause
"""Errors of clients that get no answer from the master, with the action to take."""

from __future__ import annotations

import errno

from ganeti.errors import GanetiError


class NoAnswer(GanetiError):
    """The master did not answer."""

    wire = "LuxiError"


class MasterNotRunning(NoAnswer):
    """No master daemon accepts requests here; the request was not carried out."""


class NotPermitted(NoAnswer):
    """The user has no permission for the master's socket."""


class ConnectionLost(NoAnswer):
    """The connection was lost before the answer; the request may have been carried out."""


class TimedOut(NoAnswer):
    """The master did not answer in time; the request may still be carried out."""


def make_connect_error(path: str, number: int | None, text: str) -> NoAnswer:
    """Return the error for a failed connection to ``path``; ``number`` is the ``errno``."""
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"no permission to connect to {path}; use root, or a user in the group of that socket"
        )
    if number in (errno.ENOENT, errno.ECONNREFUSED):
        return MasterNotRunning(
            f"the master daemon is not running: nothing listens at {path}; start ganeti-masterd,"
            " or use the node that is the master"
        )
    return MasterNotRunning(f"the master daemon is unreachable at {path}: {text}")


def lost(method: str, changes: bool) -> ConnectionLost:
    """Return the error for a connection that was lost during ``method``."""
    advice = "; check the list of jobs before you retry" if changes else "; try again"
    return ConnectionLost(
        f"the connection to the master daemon was lost before it answered {method}{advice}"
    )


def make_timeout_error(method: str, seconds: float) -> TimedOut:
    return TimedOut(
        f"the master daemon did not answer {method} within {seconds:g} seconds;"
        " see its log on the master node"
    )
