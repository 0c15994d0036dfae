# SPDX-License-Identifier: BSD-2-Clause
"""Verbs, which answer the methods of resources: submit an opcode, list or show objects, or
query."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec.inspect import BoolType, IntType, ListType, Type, UnionType, VarTupleType

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.events.event import EventFilter
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import (
    PlanJob,
    QueryObjectPages,
    QueryObjects,
    Request,
    SubmitJob,
    SubmitSharedJob,
)
from ganeti.model.users import Role
from ganeti.opcodes.opcode import Opcode
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.image_uploads import ImageUploads, Upload
from ganeti.rapi.list_pages import ListPages
from ganeti.rapi.request_arguments import (
    BULK,
    DRY_RUN,
    LOCK,
    PLAN,
    REASON,
    ArgumentType,
    QueryParameter,
    QueryValues,
    parse_parameters,
    refuse,
    require_object,
)
from ganeti.rapi.usage_history import UsageHistory
from ganeti.schema.parameters import Parameter
from ganeti.schema.parameters import parameters as fields_of
from ganeti.schema.reading import read
from ganeti.schema.records import Record, replace

# A body as clients write it; reading it as an opcode checks it.
Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Admitted:
    """A caller that may send a request, as far as its head tells.

    ``csrf`` is what changes in its session must have in a header; empty without a session.
    """

    caller: Caller
    user: str = ""
    role: Role | None = None
    limited: bool = False
    csrf: str = ""


ANYBODY = Admitted(Caller(role=Role.VIEWER))


class SignInRedirect(Protocol):
    """Where a browser is sent, and what its cookie holds."""

    @property
    def location(self) -> str: ...
    @property
    def cookie(self) -> str: ...


class OpenIdSignIn(Protocol):
    """Signs browsers in by the OpenID provider that the cluster has."""

    async def available(self) -> bool:
        """Return whether there is a provider."""
        ...

    async def start_sign_in(self) -> SignInRedirect:
        """Return where a browser signs in.

        :raises Refused: there is no provider.
        """
        ...

    async def finish_sign_in(self, cookie: str, said: Mapping[str, str], source: str) -> IMaster:
        """Return the master as the user who has signed in sees it."""
        ...


@dataclass(frozen=True)
class Services:
    """What verbs do on this host; ``random`` gives so many unpredictable bytes.

    ``hash_password`` takes a while, and the address of the client, as each has its turn.
    """

    random: Callable[[int], bytes]
    hash_password: Callable[[str, str], Awaitable[str]]
    openid: OpenIdSignIn | None = None
    history: UsageHistory | None = None
    """What was used over a longer time; None without a Prometheus."""
    uploads: ImageUploads | None = None


async def _no_hash(password: str, source: str) -> str:
    raise Refused("nothing here makes hashes of passwords")


NO_SERVICES = Services(os.urandom, _no_hash)


@dataclass(frozen=True)
class WithHeaders:
    """An answer with further headers, and perhaps another status than 200."""

    value: object
    headers: tuple[tuple[str, str], ...]
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True)
class ApiCall:
    """A call of a verb: the variables of the path, and the arguments of the client."""

    master: IMaster
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: object
    source: str
    """The name of the resource in the reason trail of jobs."""
    now: float
    """Seconds since the epoch."""
    admitted: Admitted = ANYBODY
    services: Services = NO_SERVICES
    cookies: tuple[bytes, ...] = ()
    """The headers ``Cookie``."""
    known: tuple[str, ...] = ()
    """The tags of answers that the client has, from ``If-None-Match``."""
    upload: Upload | None = None
    """The body, if the verb receives it as it arrives."""

    @property
    def user(self) -> str:
        """The name of the caller; empty without a login."""
        return self.admitted.user


class Verb(Protocol):
    """The behavior of a method; the return value is the answer, a ``msgspec.Raw`` unchanged."""

    @property
    def access(self) -> AccessLevel: ...
    @property
    def parameters(self) -> tuple[QueryParameter, ...]: ...
    @property
    def doc(self) -> str: ...

    async def __call__(self, call: ApiCall) -> object: ...


def _unchanged(document: Document) -> Document:
    return document


@dataclass(frozen=True)
class submits:  # noqa: N801  # a word in a declaration
    """Submit one opcode, built from path, query and body; return the job ID.

    With the parameter ``plan`` nothing is submitted, and the plan of the job is returned.

    The keys of the body are the fields of the opcode, or their names in ``renames``. Those in
    ``query`` may also be given in the query; with ``alone``, all in the query or all in the body.
    ``fixed`` are fields set from the path, such as ``{"nodes": ["{node_name}"]}``. ``body`` turns a
    body into an object; ``shape`` finally transforms the document. ``withheld`` are fields that
    ``body`` rejects; they are not documented.
    """

    opcode: type[Opcode]
    query: tuple[str | QueryParameter, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    alone: bool = False
    body: Callable[[object], Document] = require_object
    shape: Callable[[Document], Document] = _unchanged
    withheld: frozenset[str] = frozenset()
    access: AccessLevel = AccessLevel.WRITE

    @property
    def doc(self) -> str:
        return (self.opcode.__doc__ or "").partition("\n")[0]

    @cached_property
    def parameters(self) -> tuple[QueryParameter, ...]:
        declared = [parameter(self.opcode, each) for each in self.query]
        if self.alone or "dry-run" not in {each.name for each in declared}:
            declared.append(DRY_RUN)
        return (*declared, PLAN, REASON)

    async def __call__(self, call: ApiCall) -> object:
        opcode = self.read(call)
        if call.query.get(PLAN.name) == ["1"]:
            (plan,) = await call.master.ask(PlanJob(ops=(opcode,)))
            return plan
        return await self.submit(call.master, opcode)

    async def submit(self, master: IMaster, opcode: Opcode) -> object:
        """Queue the opcode; return the number of its job."""
        return await master.ask(SubmitJob(ops=(opcode,)))

    def read(self, call: ApiCall) -> Opcode:
        """Build the opcode of a call.

        :raises Invalid: with all problems.
        """
        document, problems = parse_parameters(self.parameters, call.query)
        document.pop(PLAN.target, None)
        document["reason"] = reason_trail(call, document.pop("reason", None))
        try:
            given = self.body(call.body)
        except Invalid as e:
            raise Invalid([*problems, *e.problems]) from None
        problems += self._merge(document, given, call.path)
        for name, value in self.defaults.items():
            document.setdefault(name, value)
        document.update(
            {name: _fill_template(each, call.path) for name, each in self.fixed.items()}
        )
        document.update({name: each for name, each in call.path.items() if name in self._fields})
        try:
            opcode = read(self.opcode, self.shape(document), lax=True)
        except Invalid as e:
            problems += [self._rename_problem(each) for each in e.problems]
        refuse(problems)
        return opcode

    def _merge(self, document: Document, given: Document, path: Mapping[str, str]) -> list[Problem]:
        problems = []
        old = [each for each in self.parameters if each not in (DRY_RUN, PLAN, REASON)]
        if self.alone and given and any(each.target in document for each in old):
            problems.append(Problem("", "give parameters in the query or in the body, not in both"))
        for name, value in given.items():
            target = self.renames.get(name, name)
            if target in self.fixed or (target in path and target in self._fields):
                problems.append(Problem(name, "is given by the path"))
            elif target == "reason":
                # A wrong value is kept, so that the check of the opcode reports it.
                wrong = value is not None and not isinstance(value, list)
                document["reason"] = value if wrong else [*(value or ()), *document["reason"]]
            elif value is None and (target in document or target in self._optional_fields):
                continue
            elif target in document:
                # Some clients send the same value in the query and in the body, to work with any
                # server.
                if document[target] != value:
                    problems.append(Problem(name, "is given twice with different values"))
            else:
                document[target] = value
        return problems

    @cached_property
    def _optional_fields(self) -> frozenset[str]:
        """The fields whose default is not null; clients send null for what they omit."""
        return frozenset(
            each.name for each in _fields_by_name(self.opcode).values() if each.default is not None
        )

    @cached_property
    def _fields(self) -> frozenset[str]:
        return frozenset(self.opcode.__struct_fields__)

    @cached_property
    def outside(self) -> Mapping[str, str]:
        """The names for clients of fields whose name in the opcode differs."""
        names = {each.target: each.name for each in self.parameters if each.target != each.name}
        return {**names, **{inside: outside for outside, inside in self.renames.items()}}

    def _rename_problem(self, problem: Problem) -> Problem:
        name = problem.path.split(".")[0].split("[")[0]
        return Problem(self.outside.get(name, name) + problem.path[len(name) :], problem.message)


@dataclass(frozen=True)
class SharedOpcodeVerb(submits):
    """Submit an opcode that only reads; clients that request the same share a job.

    It requires a login and is rate-limited for each user, as every job is stored.
    """

    access: AccessLevel = AccessLevel.METERED

    async def submit(self, master: IMaster, opcode: Opcode) -> object:
        return await master.ask(SubmitSharedJob(ops=(opcode,)))


def reason_trail(call: ApiCall, why: str | None) -> list[tuple[str, str, int]]:
    """Return the reason trail of a call, as jobs record it; times in nanoseconds."""
    when = int(call.now * 1e9)
    user = [("gnt:user", why, when)] if why else []
    return [*user, (f"gnt:library:rlib2:{call.source}", "", when)]


def _fill_template(template: object, path: Mapping[str, str]) -> object:
    if isinstance(template, str) and template.startswith("{"):
        return path[template[1:-1]]
    if isinstance(template, list):
        return [_fill_template(each, path) for each in template]
    return template


def parameter(opcode: type[Opcode], declared: str | QueryParameter) -> QueryParameter:
    """Return the query parameter for a field of an opcode."""
    if isinstance(declared, QueryParameter):
        return declared
    described = _fields_by_name(opcode)[declared]
    return QueryParameter(declared, _argument_type(described.type), described.doc)


@cache
def _fields_by_name(opcode: type[Opcode]) -> Mapping[str, Parameter]:
    return {each.name: each for each in fields_of(opcode)}


def _argument_type(declared: Type) -> ArgumentType:
    members = declared.types if isinstance(declared, UnionType) else (declared,)
    for member in members:
        bare = member.type if isinstance(member, msgspec.inspect.Metadata) else member
        if isinstance(bare, BoolType):
            return ArgumentType.FLAG
        if isinstance(bare, IntType):
            return ArgumentType.NUMBER
        if isinstance(bare, ListType | VarTupleType):
            return ArgumentType.WORDS
    return ArgumentType.TEXT


Rows = Callable[[tuple[str, ...]], Request[object]]
"""Returns the request for the rows of all objects with some fields."""


@dataclass(frozen=True)
class lists:  # noqa: N801
    """List all objects of a kind: their names and URIs, or all details with ``bulk``.

    ``keys`` are the properties that contain the name.
    """

    what: str
    uri: str
    fields: tuple[str, ...]
    rows: Rows
    keys: tuple[str, ...]
    key: str = "name"
    access: AccessLevel = AccessLevel.OPEN
    parameters: tuple[QueryParameter, ...] = (BULK, LOCK)

    @property
    def doc(self) -> str:
        return (
            f"List the names of all objects of the kind {self.what}, or their details with bulk=1."
        )

    async def __call__(self, call: ApiCall) -> object:
        if call.query or call.body:
            values, problems = parse_parameters(self.parameters, call.query)
            refuse([*problems, *check_lock(values), *check_no_body(call)])
            if values.get("bulk"):
                return await self._list_details(call)
        rows = await call.master.ask_raw(self.rows((self.key,)))
        return _encode_listing(bytes(rows), self.keys, f"/2/{self.uri}/")

    async def _list_details(self, call: ApiCall) -> object:
        """Return all details with their tag, or status 304 if the client has them."""
        asked = QueryObjectPages(what=self.what, fields=self.fields, known=call.known)
        first = _first_page.decode(await call.master.ask_raw(asked))
        headers = (("ETag", f'W/"{first.tag}"'), ("Vary", "Accept-Encoding"))
        if bytes(memoryview(first.objects)[:4]) == b"null":
            return WithHeaders(msgspec.Raw(b""), headers, HTTPStatus.NOT_MODIFIED)
        if first.pages == 1:
            return WithHeaders(first.objects, headers)

        async def fetch(page: int) -> msgspec.Raw:
            request = replace(asked, known=(), tag=first.tag, page=page)
            return _page.decode(await call.master.ask_raw(request)).objects

        return WithHeaders(ListPages(first.objects, first.pages, first.size, fetch), headers)


class _Page(msgspec.Struct):
    objects: msgspec.Raw


class _FirstPage(_Page):
    tag: str
    size: int
    pages: int


_page = msgspec.json.Decoder(_Page)
_first_page = msgspec.json.Decoder(_FirstPage)


@lru_cache(maxsize=16)
def _encode_listing(rows: bytes, keys: tuple[str, ...], start: str) -> msgspec.Raw:
    """Return the names and URIs as JSON; cached, as lists are polled more often than they
    change."""
    names = [row[0] for row in msgspec.json.decode(rows)]
    if all(isinstance(name, int) for name in names):
        names.sort()
    listed = [
        {**dict.fromkeys(keys, name), "uri": start + quote(str(name), safe="")} for name in names
    ]
    return msgspec.Raw(msgspec.json.encode(listed))


@dataclass(frozen=True)
class shows:  # noqa: N801
    """Show the details of the object that the path names."""

    what: str
    variable: str
    fields: tuple[str, ...]
    access: AccessLevel = AccessLevel.OPEN
    parameters: tuple[QueryParameter, ...] = (LOCK,)

    @property
    def doc(self) -> str:
        return f"Show the details of one {self.what}."

    async def __call__(self, call: ApiCall) -> object:
        if call.query or call.body:
            values, problems = parse_parameters(self.parameters, call.query)
            refuse([*problems, *check_lock(values), *check_no_body(call)])
        name = call.path[self.variable]
        question = QueryObjects(what=self.what, fields=self.fields, names=(name,))
        found = bytes(await call.master.ask_raw(question)).strip()[1:-1]
        if not found:
            raise unknown(self.what, name)
        return msgspec.Raw(found)


# The body is the record that ``asks`` was told.
Answer: TypeAlias = Callable[[ApiCall, QueryValues, Any], Awaitable[object]]


@dataclass(frozen=True)
class ErrorPage:
    """A page that says what has failed, and where to go on: addresses with texts."""

    title: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class asks:  # noqa: N801
    """Answer with the result of ``answer(call, parameters, body)``.

    ``body`` is the record that the body is read as; without one there must be none. ``result``
    is the type of the answer, and ``errors`` are statuses of its own with their reasons, for the
    description of the API. ``unlimited`` methods are about the whole cluster, and not for a role
    that is limited to some instances.
    """

    answer: Answer
    parameters: tuple[QueryParameter, ...] = ()
    access: AccessLevel = AccessLevel.OPEN
    body: type[Record] | None = None
    result: Any = Any
    unlimited: bool = False
    errors: Mapping[HTTPStatus, str] = field(default_factory=dict)
    confidential: bool = False
    """Whether the answer is kept out of the log."""
    error_page: ErrorPage | None = None
    """What a browser shows if the answer is an error; for resources that people follow links to."""

    @property
    def doc(self) -> str:
        return (self.answer.__doc__ or "").partition("\n")[0]

    async def __call__(self, call: ApiCall) -> object:
        values, problems = parse_parameters(self.parameters, call.query)
        problems += check_lock(values)
        body = None
        if self.body is None:
            problems += check_no_body(call)
        else:
            try:
                body = read(self.body, require_object(call.body), lax=True)
            except Invalid as e:
                problems += e.problems
        refuse(problems)
        return await self.answer(call, values, body)


@dataclass(frozen=True)
class Subscription:
    """A subscription to the event stream: which events, and after which position; None means
    now."""

    selection: EventFilter
    since: StreamPosition | None


SINCE = QueryParameter(
    "since",
    ArgumentType.TEXT,
    "Send events after this event ID or journal position. Without it, or the header"
    " Last-Event-ID, which takes precedence, the stream starts now.",
)
KINDS = QueryParameter("kind", ArgumentType.MANY, "Only events of this kind; may be repeated.")
NAMES = QueryParameter("name", ArgumentType.MANY, "Only events about this object; may be repeated.")
TAGS = QueryParameter(
    "tag", ArgumentType.MANY, "Only events about objects with this tag; may be repeated."
)


@dataclass(frozen=True)
class streams:  # noqa: N801
    """Answer with the event stream: server-sent events, or messages over a WebSocket."""

    access: AccessLevel = AccessLevel.LOGIN
    parameters: tuple[QueryParameter, ...] = (SINCE, KINDS, NAMES, TAGS)

    @property
    def doc(self) -> str:
        return "Stream the changes of the cluster, as server-sent events or over a WebSocket."

    async def __call__(self, call: ApiCall) -> Subscription:
        values, problems = parse_parameters(self.parameters, call.query)
        refuse([*problems, *check_no_body(call)])
        since = values.get("since")
        return Subscription(
            EventFilter.of(values.get("kind", ()), values.get("name", ()), values.get("tag", ())),
            None if since is None else StreamPosition.parse(since),
        )


TICKET = QueryParameter(
    "ticket", ArgumentType.TEXT, "What a console-ticket resource has answered.", required=True
)


@dataclass(frozen=True)
class ConsoleVisit:
    """A client that brings a ticket for a console."""

    ticket: str


@dataclass(frozen=True)
class opens_console:  # noqa: N801
    """The console of an instance over a WebSocket, for a ticket, which is good once."""

    access: AccessLevel = AccessLevel.TICKET
    parameters: tuple[QueryParameter, ...] = (TICKET,)

    @property
    def doc(self) -> str:
        return "The console of an instance over a WebSocket, for a ticket."

    async def __call__(self, call: ApiCall) -> ConsoleVisit:
        values, problems = parse_parameters(self.parameters, call.query)
        refuse([*problems, *check_no_body(call)])
        return ConsoleVisit(values["ticket"])


def check_lock(values: QueryValues) -> list[Problem]:
    """Return the problem of a query that asks for locks, if it does."""
    if not values.get("lock"):
        return []
    return [Problem("lock", "queries take no locks and never wait for jobs; omit this parameter")]


def check_no_body(call: ApiCall) -> list[Problem]:
    """Return the problems of a body that a method does not accept."""
    if not call.body:
        return []
    if isinstance(call.body, dict):
        return [Problem(name, "unknown parameter") for name in call.body]
    return [Problem("", "this method accepts no body")]


def unknown(what: str, name: str) -> Refused:
    """Return the error for an object that does not exist."""
    return Refused(f"{what} {name} does not exist", Code.UNKNOWN)
