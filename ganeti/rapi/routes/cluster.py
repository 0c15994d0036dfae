# SPDX-License-Identifier: BSD-2-Clause
"""The resources of the cluster: information, settings, OS definitions, queries, job filters."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ganeti.errors import Invalid, Problem, RemoteError
from ganeti.luxi.methods import (
    DeleteFilter,
    Query,
    QueryClusterInfo,
    QueryFields,
    QueryFilters,
    ReplaceFilter,
)
from ganeti.opcodes.cluster import ModifyCluster, RedistributeConfig
from ganeti.query.fields import FieldType as FieldKind
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.request_arguments import (
    REASON,
    ArgumentType,
    QueryParameter,
    QueryValues,
    require_object,
)
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_route
from ganeti.rapi.verbs import (
    ApiCall,
    Document,
    asks,
    lists,
    reason_trail,
    streams,
    submits,
    unknown,
)
from ganeti.schema.records import Record, doc
from ganeti.schema.types import JsonValue, Text

VERSION = 2

FEATURES = (
    "instance-create-reqv1",
    "instance-reinstall-reqv1",
    "node-evac-res1",
    "node-migrate-reqv1",
)

USAGE_HISTORY = "usage-history"
"""The feature of a server that has a Prometheus to ask for what was used in the past."""

KINDS = frozenset(
    ("cluster", "export", "extstorage", "filter", "group", "instance", "job", "lock", "network")
) | {"node", "os"}
"""The kinds of objects that can be queried."""

FILTER_FIELDS = ("watermark", "priority", "predicates", "action", "reason_trail", "uuid")


async def _version(_: ApiCall, __: object, ___: object) -> object:
    """Return the version of this interface."""
    return VERSION


async def _features(call: ApiCall, _: object, __: object) -> object:
    """Return the features of this server that others lack."""
    return (*FEATURES, USAGE_HISTORY) if call.services.history is not None else FEATURES


class ClusterInfoAnswer(TypedDict):
    """Information about the cluster; there are more properties than those listed here."""

    name: str
    master: str
    uuid: str
    software_version: str
    protocol_version: int
    config_version: int
    os_api_version: int
    export_version: int
    architecture: tuple[str, str]
    default_hypervisor: str
    enabled_hypervisors: list[str]
    hvparams: dict[str, dict[str, JsonValue]]
    beparams: dict[str, dict[str, JsonValue]]
    nicparams: dict[str, dict[str, JsonValue]]
    ipolicy: dict[str, JsonValue]
    candidate_pool_size: int
    master_netdev: str
    mac_prefix: str
    volume_group_name: str | None
    vg_name: str | None
    drbd_usermode_helper: str | None
    drbd_helper: str | None
    file_storage_dir: str | None
    ctime: float
    mtime: float
    tags: list[str]


class _Copied(msgspec.Struct):
    """The properties that are repeated under an older name."""

    volume_group_name: msgspec.Raw = msgspec.Raw(b"null")
    drbd_usermode_helper: msgspec.Raw = msgspec.Raw(b"null")


_decode_copied = msgspec.json.Decoder(_Copied)


async def _info(call: ApiCall, _: object, __: object) -> object:
    """Return information about the cluster."""
    facts = bytes(await call.master.ask_raw(QueryClusterInfo()))
    copied = _decode_copied.decode(facts)
    # The answer is spliced, not decoded: clients poll this resource.
    return msgspec.Raw(
        b'%b,"vg_name":%b,"drbd_helper":%b}'
        % (
            facts[: facts.rindex(b"}")],
            bytes(copied.volume_group_name),
            bytes(copied.drbd_usermode_helper),
        )
    )


_OS_FIELDS = ("name", "variants", "valid", "hidden", "blacklisted")


async def _oses(call: ApiCall, _: object, __: object) -> object:
    """Return the OS definitions that instances can be installed with, one for each variant."""
    answer = await call.master.ask(Query(what="os", fields=_OS_FIELDS))
    found: list[str] = []
    for row in answer["data"]:
        name, variants, valid, hidden, blacklisted = (value for _, value in row)
        if valid and not hidden and not blacklisted:
            found += [f"{name}+{variant}" for variant in variants] if variants else [name]
    return found


# --- queries


class QueryBody(Record):
    """A query of one kind of object."""

    fields: Annotated[tuple[Text, ...] | None, doc("The fields to return.")] = None
    qfilter: Annotated[
        list[JsonValue] | None, doc("The filter that selects objects; all if not given.")
    ] = None
    filter: Annotated[list[JsonValue] | None, doc("The older name of qfilter.")] = None


class Column(TypedDict):
    """The definition of a field."""

    name: str
    title: str
    kind: FieldKind
    doc: str


class RowsAnswer(TypedDict):
    """Rows of cells; each cell is a status, 0 if the value is valid, and a value."""

    fields: list[Column]
    data: list[list[tuple[int, JsonValue]]]


class FieldsAnswer(TypedDict):
    """The definitions of fields."""

    fields: list[Column]


class FilterAnswer(TypedDict):
    """A job filter."""

    watermark: int
    priority: int
    predicates: list[JsonValue]
    action: JsonValue
    reason_trail: list[JsonValue]
    uuid: str


async def _query_all(call: ApiCall, values: QueryValues, _: object) -> object:
    """Return fields of all objects of a kind; each value has a status."""
    return await _query(call, tuple(values["fields"]), None)


async def _query_filtered(call: ApiCall, values: QueryValues, question: QueryBody) -> object:
    """Return fields of the objects that a filter selects; each value has a status."""
    if None not in (question.qfilter, question.filter) and question.qfilter != question.filter:
        raise Invalid(
            [Problem("filter", "is the older name of qfilter, but has a different value")]
        )
    fields = question.fields if question.fields is not None else values.get("fields")
    if fields is None:
        raise Invalid([Problem("fields", "is required")])
    return await _query(call, tuple(fields), question.qfilter or question.filter)


async def _query(call: ApiCall, fields: tuple[str, ...], qfilter: object) -> object:
    request = Query(what=_require_kind(call), fields=fields, qfilter=qfilter)
    return await call.master.ask_raw(request)


async def _query_fields(call: ApiCall, values: QueryValues, _: object) -> object:
    """Return the fields of a kind of object."""
    names = tuple(values["fields"]) if "fields" in values else None
    return await call.master.ask_raw(QueryFields(what=_require_kind(call), fields=names))


def _require_kind(call: ApiCall) -> str:
    kind = call.path["resource"]
    if kind not in KINDS:
        raise HttpProblem(
            HTTPStatus.NOT_FOUND, f"unknown kind {kind}; must be one of {', '.join(sorted(KINDS))}"
        )
    return kind


# --- job filters


def _json_type(kind: str, **more: object) -> Meta:
    """Return the JSON type of a value that the master checks, as only it knows all rules."""
    return Meta(extra_json_schema={"type": kind, **more})


class Rule(Record):
    """A job filter; null stands for the default of a field."""

    priority: Annotated[
        JsonValue,
        doc("Filters with lower numbers are applied first."),
        _json_type("integer", minimum=0),
    ] = 0
    predicates: Annotated[
        JsonValue,
        doc("The conditions for a job: [name, filter], where name is jobid, opcode or reason."),
        _json_type("array"),
    ] = ()
    action: Annotated[JsonValue, doc("ACCEPT, PAUSE, REJECT, CONTINUE, or [RATE_LIMIT, n].")] = (
        "CONTINUE"
    )
    reason: Annotated[
        JsonValue,
        doc("Who adds the filter, why, and when, in nanoseconds since the epoch."),
        _json_type("array"),
    ] = ()


async def _add_filter(call: ApiCall, values: QueryValues, rule: Rule) -> object:
    """Add a job filter; return its UUID."""
    return await _submit_filter(call, None, values, rule)


async def _replace_filter(call: ApiCall, values: QueryValues, rule: Rule) -> object:
    """Replace or add the job filter with this UUID; return the UUID."""
    return await _submit_filter(call, call.path["filter_uuid"], values, rule)


async def _submit_filter(
    call: ApiCall, uuid: str | None, values: QueryValues, rule: Rule
) -> object:
    trail = rule.reason or ()
    # Anything else is refused by the master, with all other problems.
    if isinstance(trail, list | tuple):
        trail = [*trail, *map(list, reason_trail(call, values.get("reason")))]
    request = ReplaceFilter(
        uuid=uuid,
        priority=0 if rule.priority is None else rule.priority,
        predicates=() if rule.predicates is None else rule.predicates,
        action="CONTINUE" if rule.action is None else rule.action,
        reason=trail,
    )
    return await call.master.ask_raw(request)


async def _show_filter(call: ApiCall, _: object, __: object) -> object:
    """Return one job filter."""
    uuid = call.path["filter_uuid"]
    rows = await call.master.ask(QueryFilters(uuids=(uuid,), fields=FILTER_FIELDS))
    if not rows:
        raise unknown("job filter", uuid)
    return dict(zip(FILTER_FIELDS, rows[0], strict=True))


async def _delete_filter(call: ApiCall, _: object, __: object) -> object:
    """Remove a job filter."""
    uuid = call.path["filter_uuid"]
    try:
        return await call.master.ask(DeleteFilter(uuid=uuid))
    except RemoteError:
        # The master's error for an unknown filter has no code that tells it apart.
        if [uuid] in await call.master.ask(QueryFilters(uuids=None, fields=("uuid",))):
            raise
        raise unknown("job filter", uuid) from None


_LOCAL_SETTINGS = ("compression_tools",)
"""Settings that only administrators on the nodes of the cluster may change."""


def _reject_local_settings(body: object) -> Document:
    """Return the body of a change of the cluster, which must not contain such settings."""
    document = require_object(body)
    for name in document.keys() & set(_LOCAL_SETTINGS):
        raise HttpProblem(
            HTTPStatus.FORBIDDEN,
            f"{name}: programs to run cannot be set by the remote API; use gnt-cluster modify",
        )
    return document


_COLUMNS = QueryParameter("fields", ArgumentType.WORDS, "The fields to return.")
_REQUIRED_COLUMNS = QueryParameter("fields", ArgumentType.WORDS, _COLUMNS.doc, required=True)

ROUTES = (
    Route("/version", {"GET": asks(_version, result=int)}),
    Route("/2/features", {"GET": asks(_features, result=list[str])}),
    Route("/2/info", {"GET": asks(_info, result=ClusterInfoAnswer)}),
    Route(
        "/2/modify",
        {
            "PUT": submits(
                ModifyCluster,
                query=("force",),
                body=_reject_local_settings,
                withheld=frozenset(_LOCAL_SETTINGS),
            )
        },
    ),
    Route("/2/events", {"GET": streams()}),
    Route("/2/os", {"GET": asks(_oses, result=list[str])}),
    Route("/2/redistribute-config", {"PUT": submits(RedistributeConfig)}),
    tags_route("cluster", "/2", None),
    Route(
        "/2/query/{resource}",
        {
            "GET": asks(
                _query_all,
                parameters=(_REQUIRED_COLUMNS,),
                access=AccessLevel.LOGIN,
                result=RowsAnswer,
            ),
            "PUT": asks(
                _query_filtered,
                parameters=(_COLUMNS, REASON),
                access=AccessLevel.LOGIN,
                body=QueryBody,
                result=RowsAnswer,
            ),
        },
    ),
    Route(
        "/2/query/{resource}/fields",
        {"GET": asks(_query_fields, parameters=(_COLUMNS,), result=FieldsAnswer)},
    ),
    Route(
        "/2/filters",
        {
            "GET": lists(
                "filter",
                "filters",
                FILTER_FIELDS,
                lambda fields: QueryFilters(uuids=None, fields=fields),
                ("uuid",),
                key="uuid",
            ),
            "POST": asks(
                _add_filter,
                parameters=(REASON,),
                access=AccessLevel.ADMIN,
                body=Rule,
                result=str,
                unlimited=True,
            ),
        },
    ),
    Route(
        "/2/filters/{filter_uuid}",
        {
            "GET": asks(_show_filter, result=FilterAnswer, unlimited=True),
            "PUT": asks(
                _replace_filter,
                parameters=(REASON,),
                access=AccessLevel.ADMIN,
                body=Rule,
                result=str,
                unlimited=True,
            ),
            "DELETE": asks(
                _delete_filter,
                parameters=(REASON,),
                access=AccessLevel.ADMIN,
                result=None,
                unlimited=True,
            ),
        },
    ),
)
