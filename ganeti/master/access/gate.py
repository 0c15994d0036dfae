# SPDX-License-Identifier: BSD-2-Clause
"""Decides what a caller of the remote API may ask the master, with each request anew.

All doors for callers pass here, so what one of them refuses all refuse. What a caller with a
limited role may see, it is answered from a :class:`~ganeti.master.access.view.View`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred

from ganeti.access.permissions import (
    METHODS,
    ON_INSTANCE,
    OWN_TOKENS,
    UNLIMITED_KINDS,
    UNLIMITED_METHODS,
    OnInstance,
    role_for,
)
from ganeti.access.rights import Rights, scope_tags
from ganeti.config.state import ClusterState, RecordEdit
from ganeti.errors import (
    AccessDenied,
    Code,
    Invalid,
    JobLost,
    Problem,
    Refused,
    Unauthenticated,
)
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import (
    CancelJob,
    DeleteFilter,
    Query,
    QueryFields,
    QueryHistory,
    QueryObjects,
    ReplaceFilter,
    Request,
    SubmitJob,
    SubmitManyJobs,
    WaitForEvents,
    WaitForJobChange,
)
from ganeti.luxi.server import Answerer, Permitted
from ganeti.master.access.callers import Callers, Identity
from ganeti.master.access.history import TRAIL
from ganeti.master.access.listing import listed
from ganeti.master.access.sessions import LIFETIME, Sessions
from ganeti.master.access.view import View, subject_of
from ganeti.master.change_events import ACCESS
from ganeti.master.event_feed import EventFeed
from ganeti.master.queries import Queries
from ganeti.model.instance import Instance
from ganeti.model.users import OWNER_TAG, Role
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace

MAX_VIEWS = 64
"""How many views are kept; a further one takes the place of the one that was not used longest."""

_GENERIC = frozenset(Opcode.__struct_fields__)


class Audit(Protocol):
    """Where it is noted what callers do without a job, and what they are refused."""

    def denied(self, who: str, how: str, what: str, why: str) -> None: ...
    def did(self, who: str, how: str, what: str) -> None: ...


Ask = Callable[[View], Queries]


class Gate:
    """Lets callers ask what they may. ``questions`` makes what answers from a view."""

    def __init__(
        self,
        callers: Callers,
        state: Callable[[], ClusterState],
        view: Callable[[Rights], View],
        questions: Ask,
        events: EventFeed,
        now: Callable[[], float],
        sessions: Sessions,
        audit: Audit,
    ) -> None:
        self._callers = callers
        self._state = state
        self._view = view
        self._questions = questions
        self._events = events
        self._now = now
        self._sessions = sessions
        self._audit = audit
        self._views: OrderedDict[Rights, tuple[View, Queries]] = OrderedDict()
        self._waiting: dict[Deferred[Any], Caller] = {}

    # --- as ganeti.luxi.server.Gate

    def permit(self, caller: Caller, request: Request[Any]) -> Permitted:
        """Return the request as the caller may make it; see ``ganeti.luxi.server.Gate``."""
        who = self._callers.identify(caller)
        try:
            permitted = self._permit(who, caller, request)
        except AccessDenied as e:
            self._audit.denied(who.called, who.means, told(request), str(e))
            raise
        if caller.session and request.named() not in _PASSIVE:
            self._sessions.touch(caller.session)
        if request.changes and not isinstance(request, SubmitJob | SubmitManyJobs):
            self._audit.did(who.called, who.means, told(request))
        return permitted

    async def guard(self, caller: Caller, request: Request[Any], work: Awaitable[Any]) -> Any:
        """Return what ``work`` does, unless the caller is refused while it waits."""
        if not request.waits:
            return await work
        waiting = Deferred.fromCoroutine(_as_coroutine(work))
        self._waiting[waiting] = caller
        try:
            return await waiting
        except CancelledError:
            self._callers.identify(caller)  # raises for one that is refused by now
            raise
        finally:
            del self._waiting[waiting]

    def changed(self, state: ClusterState, edits: Sequence[RecordEdit]) -> None:
        """See to it that those wait no longer who are refused in the new state."""
        if any(edit.kind in ACCESS for edit in edits):
            self.recheck()

    def recheck(self) -> None:
        """End the waiting of callers that are refused by now."""
        for waiting, caller in list(self._waiting.items()):
            try:
                self._callers.identify(caller)
            except Unauthenticated:
                waiting.cancel()

    # --- what is permitted

    def _permit(self, who: Identity, caller: Caller, request: Request[Any]) -> Permitted:
        name, rights = request.named(), who.rights
        role = METHODS.get(name)
        if role is None:
            raise AccessDenied(f"{name} is not for callers of the remote API")
        if name in _ABOUT_CALLER:
            return Permitted(request, partial(_ABOUT_CALLER[name], self, who, caller))
        if rights.role is None:
            raise AccessDenied(
                f"user {who.called} has no role; an administrator can grant one: gnt-access role"
                " grant"
            )
        if isinstance(request, SubmitJob):
            return self._submission(who, request)
        if isinstance(request, CancelJob):
            return self._cancellation(who, request)
        if name in UNLIMITED_METHODS or not rights.limited:
            if not rights.allow(role):
                raise _lacks(who, role, name)
            if isinstance(request, QueryHistory) and not rights.allow(Role.ADMIN):
                request = replace(request, denials=False)
            return Permitted(request)
        return Permitted(request, self._limited(who, request))

    def _limited(self, who: Identity, request: Request[Any]) -> Answerer | None:
        """Return who answers a question from what a caller may see; None if it makes no odds."""
        view, questions = self._viewed(who.rights)
        match request:
            case QueryFields():
                return questions.fields
            case Query(what=what) | QueryObjects(what=what) if what in UNLIMITED_KINDS:
                raise AccessDenied(f"a role that is limited does not show the kind {what}")
            case Query():
                return questions.query
            case QueryObjects():
                return questions.objects
            case WaitForEvents():
                view.state()  # what is there now can be told to be gone later
                return partial(self._events.wait, visible=view.events)
            case WaitForJobChange(job_id=job_id):
                if view.find(job_id) is None:
                    raise JobLost(f"Job {job_id} not found")
                return None  # as for everybody
        answerers: Mapping[str, Answerer] = {
            "QueryJobs": questions.jobs,
            "QueryInstances": questions.plain("instance"),
            "QueryNodes": questions.plain("node"),
            "QueryGroups": questions.plain("group"),
            "QueryNetworks": questions.plain("network"),
            "QueryTags": questions.tags,
            "QueryClusterInfo": questions.cluster_info,
        }
        try:
            return answerers[request.named()]
        except KeyError:
            raise AccessDenied(f"{request.named()} is not for a role that is limited") from None

    def _viewed(self, rights: Rights) -> tuple[View, Queries]:
        found = self._views.get(rights)
        if found is None:
            view = self._view(rights)
            found = self._views[rights] = view, self._questions(view)
            if len(self._views) > MAX_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(rights)
        return found

    # --- jobs

    def _submission(self, who: Identity, request: SubmitJob) -> Permitted:
        ops = tuple(self._opcode(who, opcode) for opcode in request.ops)
        return Permitted(replace(request, ops=ops))

    def _opcode(self, who: Identity, opcode: Opcode) -> Opcode:
        """Return an opcode as the caller may submit it, with an entry in its reason trail."""
        about_instance = getattr(opcode, "kind", None) == "instance"
        need = role_for(opcode.op_id, on_instance=about_instance)
        if not who.rights.allow(need) and not self._own_token(who, opcode):
            opcode = self._on_instance(who, opcode, need)
        if who.rights.limited:
            self._require_visible_jobs(who, opcode)
        given = tuple(entry for entry in opcode.reason or () if not _is_forged(entry))
        entry = (TRAIL + who.called, who.means, int(self._now() * 1_000_000_000))
        return replace(opcode, reason=(*given, entry))

    def _on_instance(self, who: Identity, opcode: Opcode, need: Role) -> Opcode:
        declared = ON_INSTANCE.get(opcode.op_id)
        name = subject_of(opcode)
        if declared is None or name is None:
            raise _lacks(who, need, opcode.op_id)
        # By what the caller sees: that an instance is there which it does not see is no answer.
        state = self._viewed(who.rights)[0].state() if who.rights.limited else self._state()
        instance = state.instance(name)
        if not who.rights.allow_on(need, instance, self._state()):
            raise _lacks(who, need, f"{opcode.op_id} of instance {instance.name}")
        self._require_own_fields(who, opcode, declared)
        return _bound(opcode, declared, instance)

    def _require_own_fields(self, who: Identity, opcode: Opcode, declared: OnInstance) -> None:
        """Refuse parameters that are about anything else than the instance itself."""
        kind = type(opcode)
        defaults = dict(
            zip(kind.__struct_fields__[-len(kind.__struct_defaults__) :], kind.__struct_defaults__,
                strict=True)
        ) if kind.__struct_defaults__ else {}  # fmt: skip
        free = _GENERIC | declared.fields | {declared.name}
        for field in kind.__struct_fields__:
            value = getattr(opcode, field)
            if field not in free and value and value != defaults.get(field):
                raise AccessDenied(
                    f"{opcode.op_id}: the parameter {field} needs a role that is not limited to"
                    " some instances"
                )
        if opcode.op_id.startswith("OP_TAGS_") and opcode.op_id != "OP_TAGS_GET":
            scopes = scope_tags(self._state())
            tags: Sequence[str] = getattr(opcode, "tags", ())
            deciding = [tag for tag in tags if tag in scopes or tag.startswith(OWNER_TAG)]
            if deciding:
                raise AccessDenied(
                    f"the tag {deciding[0]} decides who may use an instance; it needs a role that"
                    " is not limited to some instances"
                )

    def _require_visible_jobs(self, who: Identity, opcode: Opcode) -> None:
        view, _ = self._viewed(who.rights)
        for number, (job, _statuses) in enumerate(opcode.depends or ()):
            known = str(job).isdigit() and view.find(int(job)) is not None
            if not known and not str(job).startswith("-"):
                where = f"depends[{number}]"
                raise Invalid([Problem(where, f"there is no job {job} before this one")])

    def _own_token(self, who: Identity, opcode: Opcode) -> bool:
        """Whether an opcode is about a token of the caller, who has shown more than a token."""
        if opcode.op_id not in OWN_TOKENS or who.token or who.local or not who.user:
            return False
        owner = getattr(opcode, "user_name", None)
        if owner is None:
            token = self._state().api_tokens.get(getattr(opcode, "token_id", ""))
            owner = None if token is None else token.user
            if owner != who.user:
                # The same for tokens of others and for none.
                raise Refused(
                    f"user {who.user} has no token {getattr(opcode, 'token_id', '')}", Code.UNKNOWN
                )
        return bool(owner == who.user)

    def _cancellation(self, who: Identity, request: CancelJob) -> Permitted:
        if who.rights.allow(Role.OPERATOR):
            return Permitted(request)
        view, _ = self._viewed(who.rights)
        job = view.find(request.job_id)
        if job is None:
            if who.rights.limited:
                raise JobLost(f"Job {request.job_id} not found")
            raise _lacks(who, Role.OPERATOR, f"canceling job {request.job_id}")
        for op in job.ops:
            instance = view.state().instance(subject_of(op.opcode) or "")
            if not who.rights.allow_on(Role.OPERATOR, instance, self._state()):
                raise _lacks(who, Role.OPERATOR, f"canceling job {request.job_id}")
        return Permitted(request)

    # --- what is about the caller

    async def _describe(self, who: Identity, caller: Caller) -> dict[str, Any]:
        role = who.rights.role
        return {
            "user": who.user,
            "role": None if role is None else role.value,
            "limited": who.rights.limited,
            "token": who.token or None,
            "file_proof": who.file_proof,
        }

    async def _accounts(self, who: Identity, caller: Caller, what: str) -> list[dict[str, Any]]:
        only = None if who.rights.allow(Role.ADMIN) else who.user
        return listed(self._state(), what, only=only)

    async def _open_session(
        self, who: Identity, caller: Caller, session: str, digest: str
    ) -> float:
        if caller.session or not who.user:
            raise AccessDenied("sign in by a password or a token")
        self._sessions.open(session, digest, caller, who.user)
        self._audit.did(who.called, who.means, "signed in")
        return LIFETIME

    async def _close_session(self, who: Identity, caller: Caller) -> None:
        self._sessions.close(caller.session)
        self._audit.did(who.called, who.means, "signed out")
        self.recheck()


_PASSIVE = frozenset(("QueryCaller", "WaitForEvents"))
"""What an open page does by itself; a session that does nothing else is idle."""

_ABOUT_CALLER: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "OpenSession": Gate._open_session,
    "CloseSession": Gate._close_session,
    "QueryCaller": Gate._describe,
    "QueryAccess": Gate._accounts,
}


def told(request: Request[Any]) -> str:
    """Return a request in a line."""
    if isinstance(request, SubmitJob):
        return ", ".join(op.summary for op in request.ops)
    if isinstance(request, CancelJob):
        return f"CancelJob {request.job_id}"
    if isinstance(request, ReplaceFilter | DeleteFilter):
        return f"{request.named()} {request.uuid or ''}".strip()
    return request.named()


def _bound(opcode: Opcode, declared: OnInstance, instance: Instance) -> Opcode:
    """Return the opcode with the UUID of its instance, whose name may be another's by then."""
    if declared.uuid == "instances":
        return replace(opcode, instances=(instance.uuid,))
    if declared.uuid == declared.name:
        return replace(opcode, **{declared.name: instance.uuid})
    return replace(opcode, **{declared.name: instance.name, declared.uuid: instance.uuid})


def _is_forged(entry: Sequence[Any]) -> bool:
    """Whether an entry of a reason trail looks as if the gate had made it."""
    return bool(entry) and isinstance(entry[0], str) and entry[0].startswith(TRAIL)


def _lacks(who: Identity, role: Role, what: str) -> AccessDenied:
    has = who.rights.role
    limits = ", limited to some instances" if who.rights.limited and has is not None else ""
    return AccessDenied(
        f"{what} needs the role {role.value}; user {who.called} has the role"
        f" {has.value if has else 'none'}{limits}"
    )


async def _as_coroutine(work: Awaitable[Any]) -> Any:
    return await work
