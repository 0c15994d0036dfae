# SPDX-License-Identifier: BSD-2-Clause
"""Methods of resources, called without HTTP before a master in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError
from ganeti.luxi.methods import SubmitJob
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, Verb
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NOW, WHEN

E = TypeVar("E", bound=GanetiError)


class RouteCase(SynchronousTestCase):
    """``ROUTES`` are those under test; a method and a path name a verb."""

    ROUTES: tuple[Route, ...] = ()

    def setUp(self) -> None:
        self.master = MemoryMaster()

    def verb(self, method: str, path: str) -> Verb:
        [route] = [each for each in self.ROUTES if each.path == path]
        return route.verbs[method]

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, Sequence[str]] | None = None,
        variables: Mapping[str, str] | None = None,
        **over: Any,
    ) -> object:
        """Call a verb; ``over`` are further fields of ``ApiCall``."""
        call = ApiCall(self.master, variables or {}, query or {}, body, "name", NOW, **over)
        return await self.verb(method, path)(call)

    def answer(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """The answer to a call, as values of JSON if it is that."""
        found = self.successResultOf(self.call(method, path, body, **how))
        return msgspec.json.decode(found) if isinstance(found, msgspec.Raw) else found

    def refusal(self, error: type[E], method: str, path: str, body: object = None, **how: Any) -> E:
        """The error of a call, which has submitted nothing."""
        before = dict(self.master.jobs)
        failure = self.failureResultOf(self.call(method, path, body, **how), error)
        self.assertEqual(self.master.jobs, before)
        found: E = failure.value
        return found

    def job(self) -> Any:
        """The only opcode of the last job, which has the trail of the resource, without that."""
        request = [each for each in self.master.asked if isinstance(each, SubmitJob)][-1]
        [opcode] = request.ops
        assert opcode.reason is not None
        self.assertEqual(opcode.reason[-1], ("gnt:library:rlib2:name", "", WHEN))
        return msgspec.structs.replace(opcode, reason=())

    def check_access(self, levels: Mapping[tuple[str, str], AccessLevel]) -> None:
        """Check the access level of every method of the routes."""
        found = {
            (method, route.path): verb.access
            for route in self.ROUTES
            for method, verb in route.verbs.items()
        }
        self.assertEqual(found, levels)
