# SPDX-License-Identifier: BSD-2-Clause
"""Decides for each request what a caller of the remote API may ask the master.

All requests with a caller pass here, so a rule applies to every interface. A caller with a limited
role is answered from a :class:`~ganeti.master.access.view.View`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred

from ganeti.access.display_text import printable
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
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
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
    CreateConsoleTicket,
    DeleteFilter,
    PlanJob,
    Query,
    QueryFields,
    QueryHistory,
    QueryObjectPages,
    QueryObjects,
    QueryUsage,
    ReplaceFilter,
    Request,
    SubmitJob,
    SubmitManyJobs,
    TakeScreenshot,
    WaitForEvents,
    WaitForJobChange,
    WatchConsole,
)
from ganeti.luxi.server import Answerer, Permitted
from ganeti.master.access.accounts import Accounts, no_session
from ganeti.master.access.caller_identity import Callers, Identity
from ganeti.master.access.change_history import TRAIL
from ganeti.master.access.console_rights import ConsoleRights
from ganeti.master.access.sessions import LIFETIME
from ganeti.master.access.view import View, subject_of
from ganeti.master.change_events import ACCESS
from ganeti.master.event_feed import EventFeed
from ganeti.master.job_rates import JobRates
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

    def record_denial(self, who: str, how: str, what: str, why: str) -> None: ...
    def record_action(self, who: str, how: str, what: str) -> None: ...


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
        accounts: Accounts,
        consoles: ConsoleRights,
        audit: Audit,
    ) -> None:
        self._callers = callers
        self._state = state
        self._view = view
        self._questions = questions
        self._events = events
        self._now = now
        self._accounts = accounts
        self._sessions = accounts.sessions
        self._sessions.ended = self.recheck
        self._consoles = consoles
        self._audit = audit
        self._views: OrderedDict[Rights, tuple[View, Queries]] = OrderedDict()
        self._waiting: dict[Deferred[object], Caller] = {}

    # --- as ganeti.luxi.server.Gate

    def permit(self, caller: Caller, request: Request[object]) -> Permitted:
        """Return the request as the caller may make it; see ``ganeti.luxi.server.Gate``."""
        who = self._callers.identify(caller)
        try:
            permitted = self._permit(who, caller, request)
        except AccessDenied as e:
            self._audit.record_denial(who.called, who.means, told(request), str(e))
            raise
        if caller.session and _is_use(request):
            self._sessions.touch(caller.session)
        # Jobs are in the journal with their callers already.
        if request.changes and not isinstance(request, SubmitJob | SubmitManyJobs):
            self._audit.record_action(who.called, who.means, told(request))
        return permitted

    async def end_if_refused(
        self, caller: Caller, request: Request[object], work: Awaitable[object]
    ) -> object:
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

    def config_changed(self, state: ClusterState, edits: Sequence[RecordEdit]) -> None:
        """End the waiting requests of callers that the new state refuses."""
        if any(edit.kind in ACCESS for edit in edits):
            self.recheck()
        elif any(edit.kind in _SCOPES for edit in edits):
            self._consoles.recheck()

    def recheck(self) -> None:
        """End the waiting of callers that are refused by now."""
        for waiting, caller in list(self._waiting.items()):
            try:
                self._callers.identify(caller)
            except Unauthenticated:
                waiting.cancel()
        self._consoles.recheck()

    # --- what is permitted

    def _permit(self, who: Identity, caller: Caller, request: Request[object]) -> Permitted:
        name, rights = request.named(), who.rights
        role = METHODS.get(name)
        if role is None:
            raise AccessDenied(f"{name} is not for callers of the remote API")
        # Also callers without a role may ask about themselves, and sign out.
        if name in _ABOUT_CALLER:
            return Permitted(request, partial(_ABOUT_CALLER[name], self, who, caller))
        if rights.role is None:
            raise AccessDenied(
                f"user {who.called} has no role; an administrator can grant one: gnt-access role"
                " grant"
            )
        if isinstance(request, SubmitJob | PlanJob):
            return self._submission(who, request)
        if isinstance(request, CancelJob):
            return self._cancellation(who, request)
        if isinstance(request, QueryUsage) and rights.limited:
            return Permitted(self._visible_usage(who, request))
        if isinstance(request, CreateConsoleTicket):
            return self._console_ticket(who, caller, request)
        if isinstance(request, TakeScreenshot):
            return Permitted(
                replace(request, instance=self._console_of(who, request.instance).uuid)
            )
        if isinstance(request, WatchConsole):
            watch = self._consoles.watch
            return Permitted(request, lambda uuid, _, timeout: watch(caller, uuid, timeout))
        if name in UNLIMITED_METHODS or not rights.limited:
            if not rights.allow(role):
                raise _lacks(who, role, name)
            if isinstance(request, QueryHistory) and not rights.allow(Role.ADMIN):
                request = replace(request, denials=False)
            return Permitted(request)
        return Permitted(request, self._limited(who, request))

    def _limited(self, who: Identity, request: Request[object]) -> Answerer | None:
        """Return who answers a question from what a caller may see; None if it makes no odds."""
        view, questions = self._viewed(who.rights)
        match request:
            case QueryFields():
                return questions.fields
            case Query(what=what) | QueryObjects(what=what) | QueryObjectPages(what=what) if (
                what in UNLIMITED_KINDS
            ):
                raise AccessDenied(f"a role that is limited does not show the kind {what}")
            case Query():
                return questions.query
            case QueryObjects():
                return questions.objects
            case QueryObjectPages():
                return questions.pages
            case WaitForEvents():
                view.state()  # what is there now can be told to be gone later
                return partial(self._events.wait_for_events, visible=view.events)
            case WaitForJobChange(job_id=job_id):
                if view.find_job(job_id) is None:
                    raise JobLost(f"Job {job_id} not found")
                return None  # as for every caller
        answerers: Mapping[str, Answerer] = {
            "QueryJobRates": lambda: JobRates(self._now, view.jobs()).query_job_rates(),
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

    def _visible_usage(self, who: Identity, request: QueryUsage) -> QueryUsage:
        """Return the question about an instance that the caller sees, by its UUID."""
        if request.kind != "instance":
            raise AccessDenied("a role that is limited does not show the load of nodes")
        instance = self._viewed(who.rights)[0].state().instance(request.name)
        return replace(request, name=instance.uuid)

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

    def _submission(self, who: Identity, request: SubmitJob | PlanJob) -> Permitted:
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
            known = str(job).isdecimal() and view.find_job(int(job)) is not None
            # The same answer for jobs that exist but are not visible.
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
        job = view.find_job(request.job_id)
        if job is None:
            if who.rights.limited:
                raise JobLost(f"Job {request.job_id} not found")
            raise _lacks(who, Role.OPERATOR, f"canceling job {request.job_id}")
        for op in job.ops:
            instance = view.state().instance(subject_of(op.opcode) or "")
            if not who.rights.allow_on(Role.OPERATOR, instance, self._state()):
                raise _lacks(who, Role.OPERATOR, f"canceling job {request.job_id}")
        return Permitted(request)

    # --- consoles

    def _console_of(self, who: Identity, name: str) -> Instance:
        """Return an instance whose consoles the caller may use, by the name that it sees."""
        state = self._viewed(who.rights)[0].state() if who.rights.limited else self._state()
        instance = state.instance(name)
        self._consoles.require_operator(who, instance)
        return instance

    def _console_ticket(
        self, who: Identity, caller: Caller, request: CreateConsoleTicket
    ) -> Permitted:
        instance = self._console_of(who, request.instance)
        stream = printable(request.stream, 20)
        what = "asked to take over" if request.take_over else "asked for"
        self._audit.record_action(
            who.called, who.means, f"{what} the {stream} console of instance {instance.name}"
        )
        request = replace(request, viewer=who.called)

        async def create(*_: object) -> object:
            return await self._consoles.create(caller, instance.uuid, request)

        return Permitted(request, create)

    # --- what is about the caller

    async def _describe(self, who: Identity, caller: Caller) -> dict[str, object]:
        role = who.rights.role
        return {
            "user": who.user,
            "role": None if role is None else role.value,
            "limited": who.rights.limited,
            "token": who.token or None,
            "file_proof": who.file_proof,
        }

    async def _access(self, who: Identity, caller: Caller, what: str) -> list[dict[str, object]]:
        only = None if who.rights.allow(Role.ADMIN) else who.user
        return self._accounts.listed(what, only)

    async def _open_session(
        self, who: Identity, caller: Caller, session: str, digest: str
    ) -> float:
        # A session must not outlive its time by opening another one.
        if caller.session or not who.user:
            raise AccessDenied("sign in by a password or a token")
        self._sessions.open(session, digest, caller, who.user)
        self._audit.record_action(who.called, who.means, "signed in")
        return LIFETIME

    async def _close_session(self, who: Identity, caller: Caller) -> None:
        self._sessions.close(caller.session)
        self._audit.record_action(who.called, who.means, "signed out")

    async def _end_session(self, who: Identity, caller: Caller, session: str) -> None:
        owner = self._sessions.owner(session)
        # The same for sessions of others and for none.
        if owner is None or (owner != who.user and not who.rights.allow(Role.ADMIN)):
            raise no_session(session)
        self._sessions.close(session)
        self._audit.record_action(who.called, who.means, f"ended session {session} of {owner}")


_PASSIVE = frozenset(("QueryCaller", "WaitForEvents"))
"""What an open page does by itself; a session that does nothing else is idle."""

_SCOPES = frozenset((RecordKind.INSTANCE, RecordKind.NODE, RecordKind.GROUP))
"""What decides which instances are in the scope of a role, besides users and roles."""


def _is_use(request: Request[object]) -> bool:
    """Return whether a request is a use of the session that it is made in."""
    if isinstance(request, WatchConsole):
        return request.active
    return request.named() not in _PASSIVE


_ABOUT_CALLER: Mapping[str, Callable[..., Awaitable[object]]] = {
    "OpenSession": Gate._open_session,
    "CloseSession": Gate._close_session,
    "QueryCaller": Gate._describe,
    "EndSession": Gate._end_session,
    "QueryAccess": Gate._access,
}


def told(request: Request[object]) -> str:
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


def _is_forged(entry: Sequence[object]) -> bool:
    """Whether an entry of a reason trail looks as if the gate had made it."""
    return bool(entry) and isinstance(entry[0], str) and entry[0].startswith(TRAIL)


def _lacks(who: Identity, role: Role, what: str) -> AccessDenied:
    has = who.rights.role
    limits = ", limited to some instances" if who.rights.limited and has is not None else ""
    return AccessDenied(
        f"{what} needs the role {role.value}; user {who.called} has the role"
        f" {has.value if has else 'none'}{limits}"
    )


async def _as_coroutine(work: Awaitable[object]) -> object:
    return await work
