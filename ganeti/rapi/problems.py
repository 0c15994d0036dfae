# SPDX-License-Identifier: BSD-2-Clause
"""Errors as HTTP answers: the status of each kind of error."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

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
from ganeti.luxi.unreachable import NoAnswer, TimedOut
from ganeti.rapi.response import Response
from ganeti.rapi.users import REALM

STATUS_BY_TYPE: tuple[tuple[type[GanetiError], HTTPStatus], ...] = (
    (Invalid, HTTPStatus.BAD_REQUEST),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (AccessDenied, HTTPStatus.FORBIDDEN),
    (JobLost, HTTPStatus.NOT_FOUND),
    (QueueDrained, HTTPStatus.SERVICE_UNAVAILABLE),
    (QueueFull, HTTPStatus.SERVICE_UNAVAILABLE),
    (HooksRefused, HTTPStatus.CONFLICT),
    (TimedOut, HTTPStatus.GATEWAY_TIMEOUT),
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


CHALLENGES = (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
"""How clients can log in (RFC 9110, section 11.6.1)."""


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
    elif isinstance(error, Unauthenticated):
        headers = CHALLENGES
    return problem(status_of(error), str(error), headers)


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
