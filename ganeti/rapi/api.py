# SPDX-License-Identifier: BSD-2-Clause
"""From a request to its answer: find the route, let the user in, do what the verb says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ganeti.errors import GanetiError
from ganeti.luxi.interfaces import IMaster
from ganeti.rapi.access import Access, Doorkeeper
from ganeti.rapi.arguments import body_of, query_of
from ganeti.rapi.http import Request, Response
from ganeti.rapi.problems import Problematic, answer_to, problem
from ganeti.rapi.routes.route import Match, Route, Router
from ganeti.rapi.verbs import Call, Verb

_encode = msgspec.json.Encoder().encode


class Api:
    """Answers requests; ``now`` tells the time in seconds since the epoch."""

    _log = Logger()

    def __init__(
        self,
        routes: Iterable[Route],
        master: IMaster,
        door: Doorkeeper,
        now: Callable[[], float],
    ) -> None:
        self._router = Router(routes)
        self._master = master
        self._door = door
        self._now = now

    async def answer(self, request: Request) -> Response:
        """The answer to ``request``; errors are answers, too."""
        try:
            match = self._router.find(request.path)
            if request.method == "OPTIONS":
                return Response(HTTPStatus.NO_CONTENT, headers=(("Allow", match.route.allowed),))
            verb = _verb(request.method, match.route)
            header = request.headers.get("authorization")
            user = await self._door.admit(header, verb.access, request.client)
            result = await verb(self._call(request, match))
        except GanetiError as e:
            return answer_to(e)
        except CancelledError:
            raise
        except Exception:
            return self._unexpected(request)
        if verb.access is Access.WRITE:
            name = user.name if user else ""
            self._log.info(
                "{user}: {method} {path}: {result}",
                user=name,
                method=request.method,
                path=request.path,
                result=result,
            )
        return Response(HTTPStatus.OK, _encoded(result))

    def _call(self, request: Request, match: Match) -> Call:
        return Call(
            self._master,
            match.path,
            query_of(request),
            body_of(request),
            match.route.source,
            self._now(),
        )

    def _unexpected(self, request: Request) -> Response:
        reference = uuid4().hex[:12]
        self._log.failure(
            "{method} {path} broke; reference {reference}",
            method=request.method,
            path=request.path,
            reference=reference,
        )
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"internal error; the log of ganeti-rapi has it under {reference}",
        )


def _verb(method: str, route: Route) -> Verb:
    try:
        return route.verbs["GET" if method == "HEAD" else method]
    except KeyError:
        raise Problematic(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{method} means nothing here; use {route.allowed}",
            (("Allow", route.allowed),),
        ) from None


def _encoded(result: Any) -> bytes | memoryview:
    # What the master has encoded is not copied: it may be long.
    return memoryview(result) if isinstance(result, msgspec.Raw) else _encode(result)
