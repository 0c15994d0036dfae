# SPDX-License-Identifier: BSD-2-Clause
"""The resources of instances."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from urllib.parse import quote

from ganeti.errors import Invalid, Problem
from ganeti.luxi.methods import (
    CreateConsoleTicket,
    Query,
    QueryInstances,
    SubmitJob,
    TakeScreenshot,
)
from ganeti.opcodes.backup import ExportInstance, PrepareExport
from ganeti.opcodes.instance.cloning import CloneInstance
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance
from ganeti.opcodes.instance.disks import (
    ActivateDisks,
    DeactivateDisks,
    GrowDisk,
    RecreateDisks,
    ReplaceDisks,
)
from ganeti.opcodes.instance.lifecycle import (
    DescribeInstances,
    RebootInstance,
    ReinstallInstance,
    RemoveInstance,
    RenameInstance,
    ShutdownInstance,
    StartInstance,
)
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.console.relay import SEPARATOR
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.request_arguments import (
    DRY_RUN,
    REASON,
    ArgumentType,
    QueryParameter,
    QueryValues,
    require_object,
)
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_route
from ganeti.rapi.usage_verbs import shows_usage
from ganeti.rapi.verbs import (
    ApiCall,
    Document,
    SharedOpcodeVerb,
    asks,
    lists,
    opens_console,
    reason_trail,
    shows,
    submits,
    unknown,
)
from ganeti.schema.reading import problems as problems_of
from ganeti.schema.records import Record, doc
from ganeti.schema.types import Parameters, Text

FIELDS = (
    *("name", "admin_state", "os", "pnode", "snodes", "disk_template", "nic.ips", "nic.macs"),
    *("nic.modes", "nic.uuids", "nic.names", "nic.links", "nic.networks", "nic.networks.names"),
    *("nic.bridges", "network_port", "disk.sizes", "disk.spindles", "disk_usage", "disk.uuids"),
    *("disk.names", "beparams", "hvparams", "oper_state", "oper_ram", "oper_vcpus", "status"),
    *("custom_hvparams", "custom_beparams", "custom_nicparams", "custom_osparams"),
    *("ctime", "mtime", "uuid"),
    *("serial_no", "tags"),
)

RENAMED: Mapping[Any, str] = {"name": "instance_name", "os": "os_type"}
VERSION = "__version__"


def _check_version(body: object) -> Document:
    """Return the body of a creation request without its version, which must be 1."""
    document = dict(require_object(body))
    version = document.pop(VERSION, None)
    # In Python, true equals 1.
    if version is True or version != 1:
        said = "is required and" if version is None else ""
        problem = Problem(VERSION, f"{said} must be 1".strip())
        # Report all other problems, too, so that the client can correct them at once.
        inside = {RENAMED.get(name, name): value for name, value in document.items()}
        others = problems_of(CreateInstance, inside, lax=True)
        outside = {new: old for old, new in RENAMED.items()}
        raise Invalid([problem, *(Problem(outside.get(p.path, p.path), p.message) for p in others)])
    return document


def _split_usb_devices(document: Document) -> Document:
    """Accept ``usb_devices`` separated by spaces, too."""
    hvparams = document.get("hvparams")
    if isinstance(hvparams, dict) and isinstance(devices := hvparams.get("usb_devices"), str):
        return {**document, "hvparams": {**hvparams, "usb_devices": devices.replace(" ", ",")}}
    return document


def _split_disk_indexes(document: Document) -> Document:
    """Accept disk indexes as text separated by commas."""
    if isinstance(disks := document.get("disks"), str):
        return {**document, "disks": [each.strip() for each in disks.split(",") if each.strip()]}
    return document


def _rename_each(document: Document) -> Document:
    """Rename the fields of each instance of a multi-allocation to those of the opcode."""
    if "instances" not in document:
        raise Invalid([Problem("instances", "is required")])
    instances = document["instances"]
    if not isinstance(instances, list):
        return document
    renamed = [
        _split_usb_devices({RENAMED.get(name, name): value for name, value in each.items()})
        if isinstance(each, dict)
        else each
        for each in instances
    ]
    return {**document, "instances": renamed}


class ReinstallBody(Record):
    """How to reinstall an instance."""

    os: Annotated[Text | None, doc("The OS definition; the current one if not given.")] = None
    start: Annotated[bool, doc("Start the instance afterwards.")] = True
    osparams: Annotated[Parameters | None, doc("Parameters for the OS definition.")] = None


class ConsoleWish(Record):
    """Which console of an instance is to be opened."""

    stream: Annotated[Literal["serial", "vnc"], doc("Its serial line, or its screen by VNC.")] = (
        "serial"
    )
    take_over: Annotated[
        bool, doc("Let others who are at the console only watch, as long as this viewer is there.")
    ] = False


class ConsoleTicket(TypedDict):
    """What opens a console once, within 30 seconds, at ``uri``."""

    ticket: str
    stream: str
    uri: str


async def _console_ticket(call: ApiCall, _: object, wish: ConsoleWish) -> object:
    """Get a ticket for a console of a running instance."""
    request = CreateConsoleTicket(
        instance=call.path["instance_name"],
        stream=wish.stream,
        viewer=call.user,
        take_over=wish.take_over,
    )
    answer = await call.master.ask(request)
    ticket = f"{answer['node']}{SEPARATOR}{answer['ticket']}"
    uri = f"/2/console?ticket={quote(ticket, safe='')}"
    return {"ticket": ticket, "stream": wish.stream, "uri": uri}


class Screenshot(TypedDict):
    """A picture as PNG in base64."""

    png: str


async def _screenshot(call: ApiCall, _: object, __: object) -> object:
    """Return a small picture of the screen of a running instance."""
    return {"png": await call.master.ask(TakeScreenshot(instance=call.path["instance_name"]))}


async def _reinstall(call: ApiCall, values: QueryValues, how: ReinstallBody) -> object:
    """Reinstall the operating system: shut down, reinstall, and start unless disabled."""
    said = dict(values)
    dry_run, why = said.pop("dry_run", None), said.pop("reason", None)
    if call.body and said:
        raise Invalid("give the parameters in the query or in the body, not in both")
    if said:
        how = ReinstallBody(os=said.get("os"), start=not said.get("nostartup", False))
    if how.os is not None:
        await _require_os(call, how.os)
    name, trail = call.path["instance_name"], tuple(reason_trail(call, why))
    steps: list[Opcode] = [
        ShutdownInstance(instance_name=name, dry_run=dry_run, reason=trail),
        ReinstallInstance(
            instance_name=name, os_type=how.os, osparams=how.osparams, dry_run=dry_run, reason=trail
        ),
    ]
    if how.start:
        steps.append(StartInstance(instance_name=name, dry_run=dry_run, reason=trail))
    return await call.master.ask(SubmitJob(ops=tuple(steps)))


async def _require_os(call: ApiCall, name: str) -> None:
    """Reject an unknown OS definition before the instance is shut down."""
    answer = await call.master.ask(Query(what="os", fields=("name",)))
    known = [row[0][1] for row in answer["data"]]
    if name.partition("+")[0] not in known:
        # Not 404: the parameter is wrong; the object that the path names exists.
        there = ", ".join(sorted(known)) or "none"
        raise Invalid([Problem("os", f"unknown OS definition {name}; must be one of {there}")])


class ConsoleAnswer(TypedDict):
    """How to connect to a console; properties that do not apply to the kind are missing."""

    instance: str
    kind: Literal["ssh", "vnc", "spice", "msg"]
    message: NotRequired[str | None]
    host: NotRequired[str | None]
    port: NotRequired[int | None]
    user: NotRequired[str | None]
    command: NotRequired[list[str] | None]
    display: NotRequired[str | None]


async def _console(call: ApiCall, _: object, __: object) -> object:
    """Return how to connect to the console of a running instance."""
    name = call.path["instance_name"]
    fields = ("console", "oper_state")
    rows = await call.master.ask(QueryInstances(names=(name,), fields=fields))
    if not rows:
        raise unknown("instance", name)
    console, runs = rows[0]
    if not runs or console is None:
        raise HttpProblem(
            HTTPStatus.SERVICE_UNAVAILABLE, f"instance {name} is not running; start it first"
        )
    return console


_INSTANCE = "/2/instances/{instance_name}"
_REINSTALL_PARAMETERS = (
    QueryParameter("os", ArgumentType.TEXT, "The OS definition; the current one if not given."),
    QueryParameter("nostartup", ArgumentType.FLAG, "Do not start the instance afterwards."),
    DRY_RUN,
    REASON,
)
_REBOOT = QueryParameter("type", ArgumentType.TEXT, "soft, hard or full.", "reboot_type")

ROUTES = (
    Route(
        "/2/instances",
        {
            "GET": lists(
                "instance",
                "instances",
                FIELDS,
                lambda fields: QueryInstances(names=(), fields=fields),
                ("id", "name"),
            ),
            "POST": submits(
                CreateInstance, renames=RENAMED, body=_check_version, shape=_split_usb_devices
            ),
        },
    ),
    Route("/2/instances-multi-alloc", {"POST": submits(AllocateInstances, shape=_rename_each)}),
    Route(
        _INSTANCE,
        {
            "GET": shows("instance", "instance_name", FIELDS),
            "DELETE": submits(RemoveInstance, fixed={"ignore_failures": False}),
        },
    ),
    Route(
        _INSTANCE + "/info",
        {
            "GET": SharedOpcodeVerb(
                DescribeInstances,
                query=("static",),
                fixed={"instances": ["{instance_name}"]},
            )
        },
    ),
    Route(
        _INSTANCE + "/console",
        {
            "GET": asks(
                _console,
                access=AccessLevel.LOGIN,
                result=ConsoleAnswer,
                errors={HTTPStatus.SERVICE_UNAVAILABLE: "The instance is not running."},
            )
        },
    ),
    Route(
        _INSTANCE + "/reboot",
        {
            "POST": submits(
                RebootInstance,
                query=(_REBOOT, "ignore_secondaries"),
                defaults={"reboot_type": "hard"},
            )
        },
    ),
    Route(_INSTANCE + "/startup", {"PUT": submits(StartInstance, query=("force", "no_remember"))}),
    Route(_INSTANCE + "/shutdown", {"PUT": submits(ShutdownInstance, query=("no_remember",))}),
    Route(
        _INSTANCE + "/reinstall",
        {
            "POST": asks(
                _reinstall,
                parameters=_REINSTALL_PARAMETERS,
                access=AccessLevel.WRITE,
                body=ReinstallBody,
                result=int,
            )
        },
    ),
    Route(
        _INSTANCE + "/replace-disks",
        {
            "POST": submits(
                ReplaceDisks,
                query=("mode", "disks", "remote_node", "iallocator"),
                alone=True,
                shape=_split_disk_indexes,
            )
        },
    ),
    Route(_INSTANCE + "/activate-disks", {"PUT": submits(ActivateDisks, query=("ignore_size",))}),
    Route(_INSTANCE + "/deactivate-disks", {"PUT": submits(DeactivateDisks, query=("force",))}),
    Route(_INSTANCE + "/recreate-disks", {"POST": submits(RecreateDisks)}),
    Route(_INSTANCE + "/disk/{disk}/grow", {"POST": submits(GrowDisk)}),
    Route(_INSTANCE + "/prepare-export", {"PUT": submits(PrepareExport, query=("mode",))}),
    Route(
        _INSTANCE + "/export",
        {"PUT": submits(ExportInstance, renames={"destination": "target_node"})},
    ),
    Route(_INSTANCE + "/migrate", {"PUT": submits(MigrateInstance)}),
    Route(_INSTANCE + "/failover", {"PUT": submits(FailoverInstance)}),
    Route(_INSTANCE + "/clone", {"POST": submits(CloneInstance)}),
    Route(_INSTANCE + "/rename", {"PUT": submits(RenameInstance)}),
    Route(
        _INSTANCE + "/modify",
        {
            "PUT": submits(
                ModifyInstance,
                renames={"custom_beparams": "beparams", "custom_hvparams": "hvparams"},
                shape=_split_usb_devices,
            )
        },
    ),
    Route(
        "/2/instances/{instance_name}/console-ticket",
        {
            "POST": asks(
                _console_ticket,
                access=AccessLevel.WRITE,
                body=ConsoleWish,
                result=ConsoleTicket,
                errors={HTTPStatus.CONFLICT: "It does not run, or has no such console."},
                confidential=True,
            )
        },
    ),
    Route(
        _INSTANCE + "/screenshot",
        {
            "GET": asks(
                _screenshot,
                access=AccessLevel.WRITE,
                result=Screenshot,
                errors={HTTPStatus.CONFLICT: "It does not run, or has no screen."},
                confidential=True,
            )
        },
    ),
    Route(_INSTANCE + "/usage", {"GET": shows_usage("instance", "instance_name")}),
    Route("/2/console", {"GET": opens_console()}),
    tags_route("instance", _INSTANCE, "instance_name"),
)
