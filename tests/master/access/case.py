# SPDX-License-Identifier: BSD-2-Clause
"""A master with two teams, as callers of the remote API reach it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.tokens import digest_of
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause
from ganeti.errors import GanetiError
from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import Request, SubmitJob
from ganeti.luxi.server import LuxiMethods
from ganeti.model.users import ApiToken, Role, RoleGrant, Scope, UserAccount
from ganeti.opcodes.opcode import Opcode
from ganeti.testing.builders import an_instance
from ganeti.testing.cluster import SimulatedCluster

BECAUSE = ChangeCause("test", "test")
SECRET = "s" * 43
TEAMS: Mapping[str, str] = {"web1": "team-a", "web2": "team-a", "db1": "team-b"}


def a_user(name: str, **over: Any) -> UserAccount:
    """A user who may log in by a password whose hash is ``{scrypt}`` and the name."""
    return UserAccount(**{"uuid": name, "created": 1, "password": "{scrypt}" + name, **over})


def a_grant(subject: str, role: Role, *tags: str, **scope: Any) -> RoleGrant:
    key = f"{subject}-{role}-{'-'.join(tags)}"
    return RoleGrant(
        uuid=key, subject=subject, role=role, created=1, scope=Scope(tags=tags, **scope)
    )


def a_token(token_id: str, user: str, role: Role = Role.ADMIN, **over: Any) -> ApiToken:
    fields: dict[str, Any] = {"created": 1, "expires": 2**40, "digest": digest_of(SECRET)}
    return ApiToken(**{"uuid": token_id, "user": user, "role": role, **fields, **over})


def by_password(name: str) -> Caller:
    return Caller(user=name, digest=digest_of("{scrypt}" + name), source="192.0.2.7")


def by_token(token_id: str, secret: str = SECRET) -> Caller:
    return Caller(token=token_id, digest=digest_of(secret), source="192.0.2.7")


class AccessCase(SynchronousTestCase):
    """web1 and web2 are of team A, db1 is of team B; ann and oli are of A, root is nobody's."""

    def setUp(self) -> None:
        self.cluster = SimulatedCluster(2)
        self.master = self.cluster.master
        self.methods = LuxiMethods(self.master.answers(), self.master.gate)
        node = self.master.config.state().cluster.master_node
        instances = [
            an_instance(name, tags=(team,), primary_node=node, nics=()).instance
            for name, team in TEAMS.items()
        ]
        self.put(
            *instances,
            *map(a_user, ("ann", "oli", "bea", "root", "vic", "nix")),
            a_grant("ann", Role.VIEWER, "team-a"),
            a_grant("oli", Role.OPERATOR, "team-a"),
            a_grant("bea", Role.OPERATOR, "team-b"),
            a_grant("vic", Role.VIEWER),
            a_grant("root", Role.ADMIN),
        )

    def put(self, *records: Any) -> None:
        self.change(lambda state: reduce(ClusterState.put, records, state))

    def change(self, change: Change) -> None:
        self.cluster.wait(self.master.config.change(change, because=BECAUSE))

    def answer(self, caller: Caller | None, request: Request[Any]) -> Any:
        """What the master answers over its socket.

        :raises GanetiError: whatever it refuses.
        """
        message = framing.request(request.named(), request, caller)[:-1]
        answered = self.cluster.wait(self.methods.answer_message(message))
        return framing.decoded(framing.result_of(answered[:-1]))

    def submit(self, caller: Caller | None, *ops: Opcode) -> int:
        return int(self.answer(caller, SubmitJob(ops=ops)))

    def refusal(self, caller: Caller, request: Request[Any] | Opcode) -> GanetiError:
        """What a request is refused with."""
        if isinstance(request, Opcode):
            request = SubmitJob(ops=(request,))
        try:
            self.answer(caller, request)
        except GanetiError as e:
            return e
        raise AssertionError(f"{request} was not refused")
