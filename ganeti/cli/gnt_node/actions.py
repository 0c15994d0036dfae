# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-node`` commands that do more than submit one opcode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from ganeti.cli.command import Arguments, Document, OpcodeResult
from ganeti.cli.gnt_cluster.settings import by_name
from ganeti.cli.gnt_instance.info import parameters
from ganeti.cli.job_polling import results_of, show_plan, submit_and_follow_all
from ganeti.cli.listing_output import columns, show_answer
from ganeti.cli.output import Fields, objects, table, timestamp
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import require_found, show_formatted, show_values
from ganeti.luxi.methods import Query
from ganeti.opcodes.choices import StorageType
from ganeti.opcodes.instance.lifecycle import DescribeInstances
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.opcodes.node import ListStorage, ListVolumes, RunRestrictedCommand
from ganeti.opcodes.opcode import Opcode
from ganeti.query.list_arguments import build_filter

if TYPE_CHECKING:
    pass

_INFO = (
    *("name", "pip", "sip", "master", "master_candidate", "drained", "offline", "group"),
    *("master_capable", "vm_capable", "powered", "role", "pinst_list", "sinst_list", "tags"),
    *("ndparams", "custom_ndparams", "serial_no", "ctime", "mtime", "uuid"),
)


def info(session: Session, arguments: Arguments) -> int:
    """Show the recorded settings of nodes."""
    names = arguments.get("names", [])
    wanted = build_filter(names)
    nodes = objects(session.ask(Query(what="node", fields=_INFO, qfilter=wanted)))
    show_values(session, arguments, nodes, [_format_node(each) for each in nodes])
    require_found(names, nodes, "node", "gnt-node")
    return 0


def _format_node(node: Fields) -> dict[str, object]:
    return {
        "Node name": node["name"],
        "primary ip": node["pip"],
        "secondary ip": node["sip"],
        "node group": node["group"],
        "master": node["master"],
        "master candidate": node["master_candidate"],
        "drained": node["drained"],
        "offline": node["offline"],
        "master_capable": node["master_capable"],
        "vm_capable": node["vm_capable"],
        "powered": node["powered"],
        "primary for instances": node["pinst_list"],
        "secondary for instances": node["sinst_list"],
        "node parameters": parameters(node["custom_ndparams"], node["ndparams"]),
        "tags": node["tags"],
        "serial number": node["serial_no"],
        "creation time": timestamp(node["ctime"]),
        "modification time": timestamp(node["mtime"]),
        "UUID": node["uuid"],
    }


def states(arguments: Arguments) -> Document:
    """Return the recorded states of hypervisors and storage, by name."""
    return {
        name: by_name(arguments[name]) for name in ("hv_state", "disk_state") if name in arguments
    }


def new_node_fields(arguments: Arguments) -> Document:
    """Return the fields of a new node; a witness runs no instances and never becomes master."""
    only_votes: Document = {"vm_capable": False, "master_capable": False}
    return {**states(arguments), **(only_votes if arguments.get("witness") else {})}


def show_changes(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Show what was changed."""
    if result:
        session.print_line(f"Modified node {arguments['node_name']}")
        for name, value in result:
            session.print_line(f" - {name} -> {value}")
    return 0


# --- new nodes


# --- other commands


def evacuation(arguments: Arguments) -> Document:
    """Return which instances to evacuate."""
    primary, secondary = arguments.get("primary_only"), arguments.get("secondary_only")
    if primary and "remote_node" in arguments:
        raise ExitTool(FAILURE, "-n selects the new secondary node; it cannot be combined with -p")
    secondary = secondary or "remote_node" in arguments
    if primary and secondary:
        raise ExitTool(
            FAILURE,
            "-p and -s exclude each other; without them, both kinds of instances are evacuated",
        )
    mode = "primary-only" if primary else "secondary-only" if secondary else "all"
    return {"mode": mode}


def failover(session: Session, arguments: Arguments) -> int:
    """Fail over all primary instances of a node."""
    name = arguments["node_name"]
    wanted = ["==", "name", name]
    found = objects(session.ask(Query(what="node", fields=("pinst_list",), qfilter=wanted)))
    instances = found[0]["pinst_list"] if found else []
    if not instances:
        session.print_line(f"No primary instances on {name}; nothing to do")
        return 0
    if not arguments.get("force"):
        for each in instances:
            session.print_line(f"  {each}")
        session.confirm(f"Fail over these instances from {name}?", "-f/--force")
    jobs = [
        (
            each,
            [
                FailoverInstance(
                    instance_name=each,
                    ignore_consistency=bool(arguments.get("ignore_consistency")),
                    iallocator=arguments.get("iallocator"),
                )
            ],
        )
        for each in instances
    ]
    return submit_and_follow_all(session, arguments, jobs)


def restricted_command(session: Session, arguments: Arguments) -> int:
    """Run a restricted command on nodes, by default on all online nodes, and show its output."""
    names = tuple(arguments.get("names", [])) or _query_online_nodes(
        session, arguments.get("group")
    )
    opcode = RunRestrictedCommand(
        nodes=names, command=arguments["command"], use_locking=bool(arguments.get("sync"))
    )
    results = results_of(session, arguments, opcode)
    if results is None:
        return 0
    if arguments.get("dry_run"):
        show_plan(session, results)
        return 0
    for name, (well, said) in zip(names, results[0], strict=True):
        if not arguments.get("named"):
            session.print_line(f"--- {name}" + ("" if well else ": failed"))
        for line in said.splitlines():
            session.print_line(f"{name}: {line}" if arguments.get("named") else line)
    return 0 if all(well for well, _ in results[0]) else FAILURE


def _query_online_nodes(session: Session, group: str | None) -> tuple[str, ...]:
    """Return the names of the nodes that are online, of one group or of all."""
    wanted: list[object] = ["!", ["?", "offline"]]
    if group is not None:
        wanted = ["&", wanted, ["|", ["==", "group", group], ["==", "group.uuid", group]]]
    found = objects(session.ask(Query(what="node", fields=("name",), qfilter=wanted)))
    if not found:
        where = "" if group is None else f" of the group {group}"
        raise ExitTool(FAILURE, f"no node{where} is online")
    return tuple(str(each["name"]) for each in found)


def volumes(session: Session, arguments: Arguments) -> int:
    """List the logical volumes of nodes."""
    usual = ("node", "phys", "vg", "name", "size", "instance")
    return _show_rows(
        session,
        arguments,
        usual,
        lambda fields, nodes: ListVolumes(output_fields=fields, nodes=nodes),
    )


def drbd_minors(session: Session, arguments: Arguments) -> int:
    """List the configured DRBD minors of a node."""
    fields = ("name", "pinst_list", "sinst_list")
    wanted = build_filter([arguments["node_name"]])
    found = objects(session.ask(Query(what="node", fields=fields, qfilter=wanted)))
    if not found:
        raise ExitTool(FAILURE, f"unknown node {arguments['node_name']}; see gnt-node list")
    node = found[0]
    names = tuple(sorted({*node["pinst_list"], *node["sinst_list"]}))
    rows: list[Fields] = []
    if names:
        opcode = DescribeInstances(instances=names, static=True)
        [instances] = results_of(session, arguments, opcode) or [{}]
        rows = sorted(_minor_rows(node["name"], instances.values()), key=itemgetter("minor"))
    headers = not arguments.get("no_headers")
    separator = arguments.get("separator")
    if show_formatted(session, arguments, rows):
        return 0
    titles = ("Node", "Minor", "Instance", "Disk", "Role", "PeerNode")
    cells = [[str(value) for value in row.values()] for row in rows]
    for line in table(titles, cells, headers=headers, separator=separator):
        session.print_line(line)
    return 0


def _minor_rows(node: str, instances: Iterable[Fields]) -> Iterator[Fields]:
    """Yield a row for each DRBD disk that has a copy on the node."""
    for instance in instances:
        for disk in instance["disks"]:
            drbd = disk["drbd_info"] or {}
            for role, other in (("primary", "secondary"), ("secondary", "primary")):
                if drbd.get(f"{role}_node") == node:
                    minor, peer = drbd[f"{role}_minor"], drbd[f"{other}_node"]
                    yield {
                        "node": node,
                        "minor": minor,
                        "instance": instance["name"],
                        "disk": disk["iv_name"],
                        "role": role,
                        "peer": peer,
                    }


def storage(session: Session, arguments: Arguments) -> int:
    """List the storage units of nodes."""
    usual = ("node", "type", "name", "size", "used", "free", "allocatable")
    kind = arguments.get("storage_type")
    return _show_rows(
        session,
        arguments,
        usual,
        lambda fields, nodes: ListStorage(
            output_fields=fields,
            nodes=nodes,
            storage_type=StorageType(kind) if kind else None,
        ),
    )


_SIZES = frozenset({"size", "used", "free"})


_Asked: TypeAlias = Callable[[tuple[str, ...], tuple[str, ...]], Opcode]
"""Builds a request for these fields of these nodes."""


def _show_rows(
    session: Session,
    arguments: Arguments,
    usual: tuple[str, ...],
    asked: _Asked,
) -> int:
    fields, form = columns(arguments.get("output", ()), usual)
    opcode = asked(tuple(fields), tuple(arguments.get("names", [])))
    results = results_of(session, arguments, opcode)
    if results is None:
        return 0
    definitions = [
        {"name": name, "title": name.capitalize(), "kind": "unit" if name in _SIZES else "other"}
        for name in fields
    ]
    rows = [
        [
            [0, _to_number(value) if name in _SIZES else value]
            for name, value in zip(fields, row, strict=True)
        ]
        for row in results[0]
    ]
    answer = {"fields": definitions, "data": rows}
    return show_answer(session, arguments, answer, form)


def _to_number(value: object) -> object:
    """Return a size, which may be text, as a number."""
    return float(value) if isinstance(value, str) and value.isdecimal() else value


def storage_change_fields(arguments: Arguments) -> Document:
    """Return the changes of a storage unit."""
    if "allocatable" not in arguments:
        raise ExitTool(FAILURE, "no changes requested; use --allocatable yes or no")
    return {"changes": {"allocatable": arguments["allocatable"]}}
