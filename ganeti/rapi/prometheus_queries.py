# SPDX-License-Identifier: BSD-2-Clause
"""Questions to a Prometheus that scrapes this cluster, on behalf of browsers.

Browsers reach the remote API only (the console's content security policy allows no other host), and
Prometheus has no users that it could tell apart: the remote API asks, and says which metrics.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from ganeti.access.display_text import printable
from ganeti.rapi.openid import Fetch
from ganeti.rapi.problems import HttpProblem
from ganeti.schema.documents import UNREADABLE

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Span:
    """Points of time: ``count`` of them, ``step`` seconds apart, the newest at ``end``."""

    end: float
    step: int
    count: int

    @property
    def start(self) -> float:
        return self.end - (self.count - 1) * self.step


@dataclass(frozen=True)
class Selector:
    """Selects the metrics of one cluster: those with some labels.

    They are needed if one Prometheus scrapes several clusters.
    """

    labels: tuple[tuple[str, str], ...] = ()

    def selector_of(self, metric: str, **labels: str) -> str:
        """Return the selector of a metric with further labels, in the language of Prometheus."""
        wanted = (*self.labels, *labels.items())
        inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in wanted)
        return f"{metric}{{{inner}}}"


class _Series(msgspec.Struct):
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    """An answer of ``/api/v1/query_range`` (Prometheus, HTTP API)."""

    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


class Prometheus:
    """Asks Prometheus at ``address`` by ``fetch``.

    ``login`` returns a user and a password, or raises ``OSError`` or ``ValueError``.
    """

    def __init__(
        self, fetch: Fetch, address: str, login: Callable[[], tuple[str, str]] | None = None
    ) -> None:
        self._fetch = fetch
        self._address = address.rstrip("/")
        self._login = login

    async def query(self, expression: str, span: Span) -> Values:
        """Return the values of an expression that has one series at most; None where it has none.

        :raises HttpProblem: Prometheus does not answer, or not as one.
        """
        form = {
            "query": expression,
            "start": f"{span.start:.3f}",
            "end": f"{span.end:.3f}",
            "step": str(span.step),
        }
        status, body = await self._fetch(
            "POST", f"{self._address}/api/v1/query_range", self._headers(), urlencode(form).encode()
        )
        answer = self._read(status, body)
        found: list[float | None] = [None] * span.count
        for series in answer.data.result[:1]:
            for at, value in series.values:
                index = round((at - span.start) / span.step)
                if 0 <= index < span.count:
                    found[index] = _number(value)
        return tuple(found)

    def _headers(self) -> Mapping[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self._login is not None:
            try:
                pair = ":".join(self._login())
            except (OSError, ValueError) as e:
                raise self._problem(f"its password cannot be read: {e}") from None
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
        return headers

    def _read(self, status: int, body: bytes) -> _Answer:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._problem("it refuses the login; check --prometheus-login of ganeti-rapi")
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except UNREADABLE:
            raise self._problem(
                f"it answers with status {status}, and not as a Prometheus does; check --prometheus"
                " of ganeti-rapi"
            ) from None
        if answer.status != "success":
            raise self._problem(printable(answer.error, 200) or f"it has the status {status}")
        return answer

    def _problem(self, why: str) -> HttpProblem:
        return HttpProblem(
            HTTPStatus.BAD_GATEWAY, f"Prometheus at {self._address} cannot be asked: {why}"
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
