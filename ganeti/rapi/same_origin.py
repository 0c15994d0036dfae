# SPDX-License-Identifier: BSD-2-Clause
"""Keeping the pages of other sites from opening WebSockets, which browsers let them do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ganeti.rapi.problems import HttpProblem

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest


def is_origin_of(origin: bytes, host: bytes) -> bool:
    """Return whether an Origin is of a host, both in lower case; TLS may have ended at a proxy."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # an unfinished IPv6 address, for example
        return False


def require_same_origin(request: ApiRequest) -> None:
    """Refuse the pages of other sites.

    :raises HttpProblem: the request comes from one.
    """
    origin = request.getHeader(b"origin")
    if origin is None:
        return
    host = (request.getHeader(b"host") or b"").lower()
    if not is_origin_of(origin.lower(), host):
        raise HttpProblem(
            HTTPStatus.FORBIDDEN,
            "WebSockets are not for pages of other sites; the header Origin names one",
        )
