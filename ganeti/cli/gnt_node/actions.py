# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-node`` commands that do more than submit one opcode."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.gnt_cluster.actions import by_name
from ganeti.cli.session import FAILURE, NODE_SETUP, ExitTool, Session

if TYPE_CHECKING:
    from ganeti.opcodes.opcode import Opcode

_INFO = (
    *("name", "pip", "sip", "master", "master_candidate", "drained", "offline", "group"),
    *("master_capable", "vm_capable", "powered", "role", "pinst_list", "sinst_list", "tags"),
    *("ndparams", "custom_ndparams", "serial_no", "ctime", "mtime", "uuid"),
)

JOIN_TIMEOUT = 3600
"""How long to wait for a new node, in seconds: its token is valid for as long."""

PAUSE = 0.5


def info(session: Session, arguments: Arguments) -> int:
    """Show the recorded settings of nodes."""
    from ganeti.cli.listing import require_found, show_values
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query
    from ganeti.query.arguments import build_filter

    names = arguments.get("names", [])
    wanted = build_filter(names)
    nodes = objects(session.ask(Query(what="node", fields=_INFO, qfilter=wanted)))
    show_values(session, arguments, nodes, [_format_node(each) for each in nodes])
    require_found(names, nodes, "node", "gnt-node")
    return 0


def _format_node(node: Mapping[str, Any]) -> dict[str, Any]:
    from ganeti.cli.gnt_instance.info import parameters
    from ganeti.cli.output import timestamp

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


def show_changes(session: Session, arguments: Arguments, result: Any) -> int:
    """Show what was changed."""
    if result:
        session.say(f"Modified node {arguments['node_name']}")
        for name, value in result:
            session.say(f" - {name} -> {value}")
    return 0


# --- new nodes


def add(session: Session, arguments: Arguments) -> int:
    """Invite a node, wait until it has joined, and add it to the cluster."""
    from ganeti.cli.addresses import require_host_name
    from ganeti.cli.declared_options import build_opcode
    from ganeti.cli.job_polling import carry_out
    from ganeti.paths import NODED_PORT

    arguments = _expand_name(session, arguments)
    name = arguments["node_name"]
    require_host_name(name)
    address = arguments.get("primary_ip") or _find_address(session, arguments)
    port = arguments.get("port", NODED_PORT)
    if arguments.get("token_only"):
        session.say(_issue_token(session, name, address))
        return 0
    if not answers(address, port):
        if arguments.get("joined"):
            raise ExitTool(
                NODE_SETUP,
                f"no node daemon answers at {address} port {port}; start ganeti-noded there",
            )
        session.say(f"Run this on {name} as root within an hour:")
        session.say()
        session.say(f"  {_join_command(session, name, address, bool(arguments.get('readd')))}")
        session.say()
        session.show(f"Waiting for its node daemon at {address} port {port} (Ctrl-C stops) ...")
        _wait_for_daemon(session, address, port)
        session.say(" it answers.")
    opcode = build_opcode(arguments.plus({"primary_ip": address}))
    return carry_out(session, arguments, opcode)


def _expand_name(session: Session, arguments: Arguments) -> Arguments:
    """Return the arguments with the fully qualified name of the new node, for which its token is
    issued."""
    from ganeti.cli.addresses import resolve_full_name

    name = arguments["node_name"]
    # Nodes of a virtual cluster have names that need not resolve.
    if "." in name or session.paths.root or arguments.get("readd"):
        return arguments
    full = resolve_full_name(name)
    if full != name:
        session.tell(f"Note: using the full name {full} for {name}")
    return arguments.plus({"node_name": full})


def _find_address(session: Session, arguments: Arguments) -> str:
    """Return the address to use if none was given: the recorded one, or that of the node's name."""
    from ganeti.cli.addresses import resolved
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    name = arguments["node_name"]
    if arguments.get("readd"):
        wanted = ["==", "name", name]
        found = objects(session.ask(Query(what="node", fields=("pip",), qfilter=wanted)))
        if not found:
            raise ExitTool(
                FAILURE,
                f"unknown node {name}; to add it as a new node, omit --readd",
            )
        return str(found[0]["pip"])
    return resolved(name, "--primary-ip", loopback=bool(session.paths.root))


def _issue_token(session: Session, name: str, address: str) -> str:
    from ganeti.bootstrap.join_cluster import create_token

    return create_token(session.paths, node=name, addresses=[address])


def _join_command(session: Session, name: str, address: str, again: bool) -> str:
    below = f"GANETI_ROOTDIR=FOLDER GANETI_HOSTNAME={name} " if session.paths.root else ""
    option = " --rejoin" if again else ""
    # Not as an argument: the arguments of a process are visible to all users of its host.
    return f"echo {_issue_token(session, name, address)} | {below}ganeti-noded --join -{option}"


def answers(address: str, port: int) -> bool:
    """Return whether a connection is accepted; a node daemon listens once it has its
    certificate."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def _wait_for_daemon(session: Session, address: str, port: int) -> None:
    until = session.clock() + JOIN_TIMEOUT
    while not answers(address, port):
        if session.clock() > until:
            session.say()
            raise ExitTool(
                NODE_SETUP, f"no node daemon answered at {address} port {port} within the hour"
            )
        session.sleep(PAUSE)


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
    from ganeti.cli.job_polling import submit_and_follow_all
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query
    from ganeti.opcodes.instance.moves import FailoverInstance

    name = arguments["node_name"]
    wanted = ["==", "name", name]
    found = objects(session.ask(Query(what="node", fields=("pinst_list",), qfilter=wanted)))
    instances = found[0]["pinst_list"] if found else []
    if not instances:
        session.say(f"No primary instances on {name}; nothing to do")
        return 0
    if not arguments.get("force"):
        for each in instances:
            session.say(f"  {each}")
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


def power(session: Session, arguments: Arguments) -> int:
    """Query or switch the power of nodes by their out-of-band helpers."""
    from ganeti.cli.job_polling import results_of
    from ganeti.opcodes.node import CommandPower, PowerCommand

    command = PowerCommand(f"power-{arguments['what']}")
    names = arguments.get("names", [])
    if command in (PowerCommand.POWER_OFF, PowerCommand.POWER_CYCLE):
        if not names:
            raise ExitTool(FAILURE, f"power {arguments['what']}: name at least one node")
        if not arguments.get("force"):
            session.confirm(f"Power {arguments['what']} {', '.join(names)}?", "-f/--force")
    ignore_status = bool(arguments.get("ignore_status"))
    first: list[Opcode] = []
    if command is PowerCommand.POWER_OFF and not ignore_status:
        _require_helpers(session, names)
        first = _build_offline_opcodes(names, auto_promote=bool(arguments.get("auto_promote")))
    switch = CommandPower(
        node_names=tuple(names),
        command=command,
        timeout=arguments.get("timeout", 60),
        # A dry run does not mark the nodes offline, so the check for that would fail.
        ignore_status=ignore_status or bool(first and arguments.get("dry_run")),
        power_delay=arguments.get("power_delay", 2.0),
    )
    results = results_of(session, arguments, *first, switch)
    switches = command is not PowerCommand.POWER_STATUS
    return show_power(session, arguments, results and results[-1:], switches=switches)


def _require_helpers(session: Session, names: Sequence[str]) -> None:
    """Check that nodes have an out-of-band helper, before they are marked offline.

    :raises ExitTool: if one has none.
    """
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query
    from ganeti.query.arguments import build_filter

    wanted = build_filter(names)
    nodes = objects(session.ask(Query(what="node", fields=("name", "ndparams"), qfilter=wanted)))
    if without := [node["name"] for node in nodes if not node["ndparams"].get("oob_program")]:
        raise ExitTool(
            FAILURE,
            f"node {', '.join(without)} has no out-of-band helper; set one: gnt-node modify"
            f" --node-parameters oob_program=PATH {without[0]}",
        )


def _build_offline_opcodes(names: Sequence[str], *, auto_promote: bool) -> list[Opcode]:
    """Return the opcodes that mark nodes offline, as required before they are powered off."""
    from ganeti.opcodes.node import ModifyNode

    return [ModifyNode(node_name=name, offline=True, auto_promote=auto_promote) for name in names]


def health(session: Session, arguments: Arguments) -> int:
    """Show the health of nodes as reported by their out-of-band helpers."""
    from ganeti.cli.job_polling import results_of
    from ganeti.opcodes.node import CommandPower, PowerCommand

    opcode = CommandPower(
        node_names=tuple(arguments.get("names", [])),
        command=PowerCommand.HEALTH,
        timeout=arguments.get("timeout", 60),
    )
    return show_power(session, arguments, results_of(session, arguments, opcode))


def show_power(
    session: Session,
    arguments: Arguments,
    results: list[Any] | None,
    *,
    switches: bool = False,
) -> int:
    """Show the answers of the helpers; return a failure if one of them failed.

    A node without a helper is a failure only if the command ``switches`` the power.
    """
    from ganeti.cli.job_polling import show_plan
    from ganeti.cli.output import table

    if not results or not results[0]:
        return 0
    if arguments.get("dry_run"):
        show_plan(session, results)
        return 0
    rows = [[str(name), _format_power(*answer)] for (_, name), answer in results[0]]
    headers = not arguments.get("no_headers")
    separator = arguments.get("separator")
    for line in table(("Node", "Said"), rows, headers=headers, separator=separator):
        session.say(line)
    failures = {_NO_DATA, _UNAVAILABLE} if switches else {_NO_DATA}
    return FAILURE if any(status in failures for _, (status, _) in results[0]) else 0


_NO_DATA, _UNAVAILABLE = 2, 3
"""Status of a helper that failed, and of a node without one."""
_MARKS = {_NO_DATA: "(nodata)", _UNAVAILABLE: "(unavail)"}


def _format_power(status: int, said: Any) -> str:
    """Return the answer of a helper as text."""
    if status in _MARKS:
        return _MARKS[status]
    match said:
        case {"powered": powered}:
            return "powered" if powered else "unpowered"
        case list():
            return ", ".join(f"{item}={state}" for item, state in said) or "-"
    return "done"


def restricted_command(session: Session, arguments: Arguments) -> int:
    """Run a restricted command on nodes, by default on all online nodes, and show its output."""
    from ganeti.cli.job_polling import results_of, show_plan
    from ganeti.opcodes.node import RunRestrictedCommand

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
            session.say(f"--- {name}" + ("" if well else ": failed"))
        for line in said.splitlines():
            session.say(f"{name}: {line}" if arguments.get("named") else line)
    return 0 if all(well for well, _ in results[0]) else FAILURE


def _query_online_nodes(session: Session, group: str | None) -> tuple[str, ...]:
    """Return the names of the nodes that are online, of one group or of all."""
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    wanted: list[Any] = ["!", ["?", "offline"]]
    if group is not None:
        wanted = ["&", wanted, ["|", ["==", "group", group], ["==", "group.uuid", group]]]
    found = objects(session.ask(Query(what="node", fields=("name",), qfilter=wanted)))
    if not found:
        where = "" if group is None else f" of the group {group}"
        raise ExitTool(FAILURE, f"no node{where} is online")
    return tuple(str(each["name"]) for each in found)


def volumes(session: Session, arguments: Arguments) -> int:
    """List the logical volumes of nodes."""
    from ganeti.opcodes.node import ListVolumes

    usual = ("node", "phys", "vg", "name", "size", "instance")
    return _show_rows(
        session,
        arguments,
        usual,
        lambda fields, nodes: ListVolumes(output_fields=fields, nodes=nodes),
    )


def drbd_minors(session: Session, arguments: Arguments) -> int:
    """List the configured DRBD minors of a node."""
    from ganeti.cli.job_polling import results_of
    from ganeti.cli.output import objects, table
    from ganeti.luxi.methods import Query
    from ganeti.opcodes.instance.lifecycle import DescribeInstances
    from ganeti.query.arguments import build_filter

    fields = ("name", "pinst_list", "sinst_list")
    wanted = build_filter([arguments["node_name"]])
    found = objects(session.ask(Query(what="node", fields=fields, qfilter=wanted)))
    if not found:
        raise ExitTool(FAILURE, f"unknown node {arguments['node_name']}; see gnt-node list")
    node = found[0]
    names = tuple(sorted({*node["pinst_list"], *node["sinst_list"]}))
    rows: list[list[str]] = []
    if names:
        opcode = DescribeInstances(instances=names, static=True)
        [instances] = results_of(session, arguments, opcode) or [{}]
        rows = sorted(_minor_rows(node["name"], instances.values()), key=lambda row: int(row[1]))
    headers = not arguments.get("no_headers")
    separator = arguments.get("separator")
    titles = ("Node", "Minor", "Instance", "Disk", "Role", "PeerNode")
    for line in table(titles, rows, headers=headers, separator=separator):
        session.say(line)
    return 0


def _minor_rows(node: str, instances: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for each DRBD disk that has a copy on the node."""
    for instance in instances:
        for disk in instance["disks"]:
            drbd = disk["drbd_info"] or {}
            for role, other in (("primary", "secondary"), ("secondary", "primary")):
                if drbd.get(f"{role}_node") == node:
                    minor, peer = drbd[f"{role}_minor"], drbd[f"{other}_node"]
                    yield [node, str(minor), instance["name"], disk["iv_name"], role, peer]


def storage(session: Session, arguments: Arguments) -> int:
    """List the storage units of nodes."""
    from ganeti.opcodes.choices import StorageType
    from ganeti.opcodes.node import ListStorage

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


def _show_rows(session: Session, arguments: Arguments, usual: tuple[str, ...], asked: Any) -> int:
    from ganeti.cli.job_polling import results_of
    from ganeti.cli.listing import columns, show_answer

    fields, as_json = columns(arguments.get("output", ()), usual)
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
    return show_answer(session, arguments, answer, as_json=as_json)


def _to_number(value: Any) -> Any:
    """Return a size, which may be text, as a number."""
    return float(value) if isinstance(value, str) and value.isdigit() else value


def storage_change_fields(arguments: Arguments) -> Document:
    """Return the changes of a storage unit."""
    if "allocatable" not in arguments:
        raise ExitTool(FAILURE, "no changes requested; use --allocatable yes or no")
    return {"changes": {"allocatable": arguments["allocatable"]}}
