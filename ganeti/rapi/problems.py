# SPDX-License-Identifier: BSD-2-Clause
"""Errors as HTTP answers: the status of each kind of error."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from twisted.web.http_headers import Headers

from ganeti.errors import (
    AccessDenied,
    Code,
    Failed,
    GanetiError,
    HooksRefused,
    Invalid,
    JobLost,
    ProtocolError,
    QueueDrained,
    QueueFull,
    Refused,
    Unauthenticated,
)
from ganeti.luxi.unreachable import MasterNotRunning, NoAnswer, TimedOut
from ganeti.rapi.response import Response
from ganeti.rapi.users_file import REALM

STATUS_BY_TYPE: tuple[tuple[type[GanetiError], HTTPStatus], ...] = (
    (Invalid, HTTPStatus.BAD_REQUEST),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (AccessDenied, HTTPStatus.FORBIDDEN),
    (JobLost, HTTPStatus.NOT_FOUND),
    (QueueDrained, HTTPStatus.SERVICE_UNAVAILABLE),
    (QueueFull, HTTPStatus.SERVICE_UNAVAILABLE),
    (HooksRefused, HTTPStatus.CONFLICT),
    (TimedOut, HTTPStatus.GATEWAY_TIMEOUT),
    # Nothing was carried out, and a master will be there again soon.
    (MasterNotRunning, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoAnswer, HTTPStatus.BAD_GATEWAY),
    (ProtocolError, HTTPStatus.BAD_GATEWAY),
)

STATUS_BY_CODE = {
    Code.RESOLVER: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.RESOURCES: HTTPStatus.CONFLICT,
    Code.TEMPORARY: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.INPUT: HTTPStatus.BAD_REQUEST,
    Code.STATE: HTTPStatus.CONFLICT,
    Code.UNKNOWN: HTTPStatus.NOT_FOUND,
    Code.EXISTS: HTTPStatus.CONFLICT,
    Code.NOT_UNIQUE: HTTPStatus.CONFLICT,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.ENVIRONMENT: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of refusals and failures, by their error code."""


QUEUE_RETRY_AFTER = "5"
"""The value of Retry-After when the job queue is full, in seconds."""

MASTER_RETRY_AFTER = "5"
"""The value of Retry-After while there is no master: about the time of an automatic failover."""


CHALLENGES = (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
"""How clients can log in (RFC 9110, section 11.6.1)."""

SCRIPT_CHALLENGES = (("WWW-Authenticate", f'Bearer realm="{REALM}"'),)

SCRIPT_HEADER = b"X-Requested-With"
"""By which the scripts of pages say that they are no people who follow a link."""


class HttpProblem(GanetiError):
    """An error with its own HTTP status and headers."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def status_of(error: GanetiError) -> HTTPStatus:
    """Return the HTTP status for an error."""
    if isinstance(error, HttpProblem):
        return error.status
    for kind, status in STATUS_BY_TYPE:
        if isinstance(error, kind):
            return status
    if isinstance(error, Refused | Failed) and error.code is not None:
        return STATUS_BY_CODE[error.code]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def answer_to(error: GanetiError) -> Response:
    """Return the answer that reports ``error``."""
    headers = error.headers if isinstance(error, HttpProblem) else ()
    if isinstance(error, QueueFull):
        headers = (("Retry-After", QUEUE_RETRY_AFTER),)
    elif isinstance(error, MasterNotRunning):
        headers = (("Retry-After", MASTER_RETRY_AFTER),)
    elif isinstance(error, Unauthenticated):
        headers = CHALLENGES
    return problem(status_of(error), str(error), headers)


def answer_to_client(headers: Headers, error: GanetiError) -> Response:
    """Return the answer that reports ``error`` to who has sent a request with ``headers``.

    A browser that is challenged to log in asks for a password in a dialog of its own, which the
    script of a page cannot prevent; so scripts, which say that they are, get another challenge.
    """
    answer = answer_to(error)
    if headers.getRawHeaders(SCRIPT_HEADER) is None:
        return answer
    others = tuple(pair for pair in answer.headers if pair not in CHALLENGES)
    if len(others) == len(answer.headers):
        return answer
    return msgspec.structs.replace(answer, headers=(*others, *SCRIPT_CHALLENGES))


def problem(
    status: HTTPStatus, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Return an answer with a JSON description of the problem; ``explain`` describes the status."""
    said = {
        "code": int(status),
        "message": message or status.phrase,
        "explain": status.description or status.phrase,
    }
    return Response(status, msgspec.json.encode(said), headers)
