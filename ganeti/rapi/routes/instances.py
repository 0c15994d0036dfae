# SPDX-License-Identifier: BSD-2-Clause
"""Instances, and what can be done with each."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from ganeti.errors import Invalid, Problem
from ganeti.luxi.methods import Query, QueryInstances, SubmitJob
from ganeti.opcodes.backup import ExportInstance, PrepareExport
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
from ganeti.rapi.access import AuthenticationRealm
from ganeti.rapi.arguments import DRY_RUN, REASON, ArgumentType, QueryParameter, object_of
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.tags import tags_of
from ganeti.rapi.verbs import (
    ApiCall,
    Document,
    asks,
    lists,
    reason_trail,
    shows,
    submits,
    submits_shared,
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


def _version_1(body: Any) -> Document:
    """The body of a creation without its version, which must be 1."""
    document = dict(object_of(body))
    version = document.pop(VERSION, None)
    if version is True or version != 1:
        said = "is required, and" if version is None else ""
        problem = Problem(VERSION, f"{said} must be 1".strip())
        # Tell of everything else, too: whoever has to mend this wants to mend it once.
        inside = {RENAMED.get(name, name): value for name, value in document.items()}
        others = problems_of(CreateInstance, inside, lax=True)
        outside = {new: old for old, new in RENAMED.items()}
        raise Invalid([problem, *(Problem(outside.get(p.path, p.path), p.message) for p in others)])
    return document


def _listed_devices(document: Document) -> Document:
    """Lets ``usb_devices`` be separated by spaces, too."""
    hvparams = document.get("hvparams")
    if isinstance(hvparams, dict) and isinstance(devices := hvparams.get("usb_devices"), str):
        return {**document, "hvparams": {**hvparams, "usb_devices": devices.replace(" ", ",")}}
    return document


def _indexes(document: Document) -> Document:
    """Lets disk indexes be text with commas between."""
    if isinstance(disks := document.get("disks"), str):
        return {**document, "disks": [each.strip() for each in disks.split(",") if each.strip()]}
    return document


def _each_created(document: Document) -> Document:
    """Gives the instances that are to be placed together their names inside."""
    if "instances" not in document:
        raise Invalid([Problem("instances", "is required")])
    instances = document["instances"]
    if not isinstance(instances, list):
        return document
    renamed = [
        _listed_devices({RENAMED.get(name, name): value for name, value in each.items()})
        if isinstance(each, dict)
        else each
        for each in instances
    ]
    return {**document, "instances": renamed}


class Reinstallation(Record):
    """How an instance is installed again."""

    os: Annotated[Text | None, doc("The OS definition; the present one if not given.")] = None
    start: Annotated[bool, doc("Start the instance afterwards.")] = True
    osparams: Annotated[Parameters | None, doc("Parameters for the OS definition.")] = None


async def _reinstall(call: ApiCall, values: Mapping[str, Any], how: Reinstallation) -> Any:
    """Install the operating system again: stop, reinstall, and start unless told otherwise."""
    said = dict(values)
    dry_run, why = said.pop("dry_run", None), said.pop("reason", None)
    if call.body and said:
        raise Invalid("give the parameters in the query or in the body, not in both")
    if said:
        how = Reinstallation(os=said.get("os"), start=not said.get("nostartup", False))
    if how.os is not None:
        await _require_os(call, how.os)
    name, trail = call.path["instance_name"], tuple(map(tuple, reason_trail(call, why)))
    steps: list[Any] = [
        ShutdownInstance(instance_name=name, dry_run=dry_run, reason=trail),
        ReinstallInstance(
            instance_name=name, os_type=how.os, osparams=how.osparams, dry_run=dry_run, reason=trail
        ),
    ]
    if how.start:
        steps.append(StartInstance(instance_name=name, dry_run=dry_run, reason=trail))
    return await call.master.ask(SubmitJob(ops=tuple(steps)))


async def _require_os(call: ApiCall, name: str) -> None:
    """Refuse an OS definition that there is not, as the instance would be stopped for nothing."""
    answer = await call.master.ask(Query(what="os", fields=("name",)))
    known = [row[0][1] for row in answer["data"]]
    if name.partition("+")[0] not in known:
        # Not 404: it is a parameter that is wrong; what the path names is there.
        there = ", ".join(sorted(known)) or "none"
        raise Invalid([Problem("os", f"there is no OS definition {name}; there are {there}")])


class ConsoleAnswer(TypedDict):
    """How to get at a console; what is not there does not matter for the kind."""

    instance: str
    kind: Literal["ssh", "vnc", "spice", "msg"]
    message: NotRequired[str | None]
    host: NotRequired[str | None]
    port: NotRequired[int | None]
    user: NotRequired[str | None]
    command: NotRequired[list[str] | None]
    display: NotRequired[str | None]


async def _console(call: ApiCall, _: Mapping[str, Any], __: Any) -> Any:
    """How to get at the console of a running instance."""
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


_ONE = "/2/instances/{instance_name}"
_OLD_REINSTALL = (
    QueryParameter("os", ArgumentType.TEXT, "The OS definition; the present one if not given."),
    QueryParameter("nostartup", ArgumentType.FLAG, "Leave the instance stopped."),
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
                CreateInstance, renames=RENAMED, body=_version_1, shape=_listed_devices
            ),
        },
    ),
    Route("/2/instances-multi-alloc", {"POST": submits(AllocateInstances, shape=_each_created)}),
    Route(
        _ONE,
        {
            "GET": shows("instance", "instance_name", FIELDS),
            "DELETE": submits(RemoveInstance, fixed={"ignore_failures": False}),
        },
    ),
    Route(
        _ONE + "/info",
        {
            "GET": submits_shared(
                DescribeInstances,
                query=("static",),
                fixed={"instances": ["{instance_name}"]},
            )
        },
    ),
    Route(
        _ONE + "/console",
        {
            "GET": asks(
                _console,
                access=AuthenticationRealm.LOGIN,
                result=ConsoleAnswer,
                errors={HTTPStatus.SERVICE_UNAVAILABLE: "The instance is not running."},
            )
        },
    ),
    Route(
        _ONE + "/reboot",
        {
            "POST": submits(
                RebootInstance,
                query=(_REBOOT, "ignore_secondaries"),
                defaults={"reboot_type": "hard"},
            )
        },
    ),
    Route(_ONE + "/startup", {"PUT": submits(StartInstance, query=("force", "no_remember"))}),
    Route(_ONE + "/shutdown", {"PUT": submits(ShutdownInstance, query=("no_remember",))}),
    Route(
        _ONE + "/reinstall",
        {
            "POST": asks(
                _reinstall,
                parameters=_OLD_REINSTALL,
                access=AuthenticationRealm.WRITE,
                body=Reinstallation,
                result=int,
            )
        },
    ),
    Route(
        _ONE + "/replace-disks",
        {
            "POST": submits(
                ReplaceDisks,
                query=("mode", "disks", "remote_node", "iallocator"),
                alone=True,
                shape=_indexes,
            )
        },
    ),
    Route(_ONE + "/activate-disks", {"PUT": submits(ActivateDisks, query=("ignore_size",))}),
    Route(_ONE + "/deactivate-disks", {"PUT": submits(DeactivateDisks, query=("force",))}),
    Route(_ONE + "/recreate-disks", {"POST": submits(RecreateDisks)}),
    Route(_ONE + "/disk/{disk}/grow", {"POST": submits(GrowDisk)}),
    Route(_ONE + "/prepare-export", {"PUT": submits(PrepareExport, query=("mode",))}),
    Route(
        _ONE + "/export", {"PUT": submits(ExportInstance, renames={"destination": "target_node"})}
    ),
    Route(_ONE + "/migrate", {"PUT": submits(MigrateInstance)}),
    Route(_ONE + "/failover", {"PUT": submits(FailoverInstance)}),
    Route(_ONE + "/rename", {"PUT": submits(RenameInstance)}),
    Route(
        _ONE + "/modify",
        {
            "PUT": submits(
                ModifyInstance,
                renames={"custom_beparams": "beparams", "custom_hvparams": "hvparams"},
                shape=_listed_devices,
            )
        },
    ),
    tags_of("instance", _ONE, "instance_name"),
)
