# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-instance`` commands that do more than submit one opcode."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import Invalid
from ganeti.schema.units import mebibytes

# --- from options to the fields of opcodes


def creation(arguments: Arguments, *, from_export: bool = False) -> Document:
    """Return the fields of a creation request that are composed of several options.

    An imported instance has the disks and network cards of its export unless others are given.

    :raises ExitTool: if options contradict each other.
    """
    primary, _, secondary = arguments.get("node", "").partition(":")
    hypervisor, hvparams = arguments.get("hypervisor_parameters", (None, {}))
    return {
        "mode": "create",
        "disks": _new_disks(arguments, from_export),
        "nics": [] if from_export and "net" not in arguments else _new_nics(arguments),
        "pnode": primary or None,
        "snode": secondary or None,
        "hypervisor": hypervisor,
        "hvparams": hvparams or {},
    }


def _new_disks(arguments: Arguments, from_export: bool) -> list[Document]:
    given, size = arguments.get("disk", []), arguments.get("os_size")
    diskless = arguments.get("disk_template") == "diskless"
    if diskless and (given or size is not None):
        raise ExitTool(FAILURE, "a diskless instance has no disks; omit --disk and -s")
    if given and size is not None:
        raise ExitTool(FAILURE, "-s gives the size of a single disk; use either -s or --disk")
    if size is not None:
        return [{"size": size}]
    if not given and not diskless and not from_export:
        raise ExitTool(
            FAILURE,
            "no disks given; use -s SIZE for one disk, --disk 0:size=SIZE …, or -t diskless",
        )
    return [
        _convert_size(f"--disk {index}", disk)
        for index, disk in enumerate(_sort_by_index("disk", given))
    ]


def _new_nics(arguments: Arguments) -> list[Document]:
    given = arguments.get("net", [])
    if arguments.get("no_nics"):
        if given:
            raise ExitTool(FAILURE, "--no-nics and --net exclude each other")
        return []
    return _sort_by_index("net", given) if given else [{}]


def _sort_by_index(flag: str, given: Sequence[tuple[str, Any]]) -> list[Document]:
    """Return the settings given for 0, 1, … in this order.

    :raises ExitTool: if a number is missing, repeated or malformed.
    """
    found: dict[int, Document] = {}
    for ident, values in given:
        if not ident.isdecimal() or not isinstance(values, dict):
            raise ExitTool(FAILURE, f"--{flag} {ident}: must be a number, a colon and settings")
        if int(ident) in found:
            raise ExitTool(FAILURE, f"--{flag} {ident} is given twice")
        if bare := [key for key, value in values.items() if isinstance(value, bool)]:
            raise ExitTool(FAILURE, f"--{flag} {ident}: {bare[0]} must be KEY=VALUE")
        found[int(ident)] = values
    missing = [index for index in range(len(found)) if index not in found]
    if missing:
        raise ExitTool(FAILURE, f"--{flag} {missing[0]} is missing; number from 0 without gaps")
    return [found[index] for index in sorted(found)]


def _convert_size(where: str, values: Document) -> Document:
    """Return the settings of a disk with its size in MiB."""
    if not isinstance(values.get("size"), str):
        return values
    try:
        return {**values, "size": mebibytes(values["size"])}
    except Invalid as e:
        raise ExitTool(FAILURE, f"{where}: {e}") from None


_ACTIONS = ("add", "remove", "attach", "detach", "modify")


def modification_fields(arguments: Arguments) -> Document:
    """Return the changes of disks and network cards, as lists of ``[action, where,
    parameters]``."""
    return {
        "disks": _parse_changes("disk", arguments.get("disk", [])),
        "nics": _parse_changes("net", arguments.get("net", [])),
    }


def _parse_changes(flag: str, given: Sequence[tuple[str, Any]]) -> list[list[Any]]:
    return [_parse_change(f"--{flag} {ident}", ident, values) for ident, values in given]


def _parse_change(flag: str, ident: str, values: Any) -> list[Any]:
    if not isinstance(values, dict):
        raise ExitTool(FAILURE, f"{flag}: use {ident}:remove to remove it")
    if ident in ("add", "remove", "attach", "detach"):
        return [ident, -1, _convert_size(flag, values)]
    where: int | str = int(ident) if ident.lstrip("-").isdecimal() else ident
    actions = [action for action in _ACTIONS if values.get(action) is True]
    if len(actions) > 1:
        raise ExitTool(FAILURE, f"{flag}: {' and '.join(actions)} exclude each other")
    settings = {name: value for name, value in values.items() if name not in actions}
    return [actions[0] if actions else "modify", where, _convert_size(flag, settings)]


def grow_disk_fields(arguments: Arguments) -> Document:
    """Return which disk to grow, and by how many MiB."""
    disk = arguments["disk"]
    if not disk.isdecimal():
        raise ExitTool(FAILURE, f"{disk} is not a disk number; disks are numbered from 0")
    return {"disk": int(disk), "amount": mebibytes(arguments["amount"])}


def recreate_disks_fields(arguments: Arguments) -> Document:
    """Return the disks to recreate, and the nodes to create them on."""
    disks: list[Any] = []
    for ident, values in arguments.get("disk", []):
        if not ident.isdecimal() or not isinstance(values, dict):
            raise ExitTool(FAILURE, f"--disk {ident}: must be the number of a disk")
        disks.append([int(ident), _convert_size(f"--disk {ident}", values)])
    nodes = [name for name in arguments.get("node", "").split(":") if name]
    return {"disks": disks, "nodes": nodes}


def replacement(arguments: Arguments) -> Document:
    """Return which side of DRBD disks to replace."""
    elsewhere = "remote_node" in arguments or "iallocator" in arguments
    modes = {
        "replace_on_primary": arguments.get("on_primary"),
        "replace_on_secondary": arguments.get("on_secondary"),
        "replace_auto": arguments.get("auto"),
        "replace_new_secondary": elsewhere,
    }
    chosen = [mode for mode, wanted in modes.items() if wanted]
    if len(chosen) != 1:
        raise ExitTool(
            FAILURE,
            "no replacement mode given; use one of -p, -s, -a, or -n NODE or -I ALLOCATOR for"
            " another secondary node",
        )
    numbers = arguments.get("numbers", [])
    if not all(each.isdecimal() for each in numbers):
        raise ExitTool(FAILURE, f"--disks {','.join(numbers)}: must be numbers")
    return {"mode": chosen[0], "disks": [int(each) for each in numbers]}


# --- commands


def reinstall(session: Session, arguments: Arguments) -> int:
    """Reinstall instances, after asking for the OS definition with ``--select-os``."""
    from ganeti.cli.command import request

    if arguments.get("select_os"):
        arguments = arguments.plus({"os_type": _ask_for_os(session)})
    return request(session, arguments)


def _ask_for_os(session: Session) -> str:
    from ganeti.cli.gnt_os.actions import usable

    names = usable(session)
    for number, name in enumerate(names):
        session.say(f"{number:3}: {name}")
    said = session.question("Number of the OS definition: ", "-o OS")
    if not said.isdecimal() or int(said) >= len(names):
        raise ExitTool(FAILURE, f"{said} is not one of these numbers; nothing was changed")
    return names[int(said)]


def show_activated(session: Session, arguments: Arguments, result: Any) -> int:
    """Show the device of each activated disk."""
    for host, name, device in result:
        session.say(f"{host}:{name}:{device}")
    return 0


def show_changes(session: Session, arguments: Arguments, result: Any) -> int:
    """Show what was changed, and when it takes effect."""
    if result:
        session.say(f"Modified instance {arguments['instance_name']}")
        for name, value in result:
            session.say(f" - {name} -> {value}")
        session.say("Most parameters take effect at the next start of the instance.")
    return 0


def show_jobs(session: Session, arguments: Arguments, result: Any) -> int:
    """Follow the jobs that a job has submitted."""
    from ganeti.cli.job_polling import follow_submitted_jobs

    return follow_submitted_jobs(session, arguments, result)


def batch_create(session: Session, arguments: Arguments) -> int:
    """Create the instances described in a file."""
    import msgspec

    from ganeti.cli.input_files import read_bytes, read_error
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.instance.create import AllocateInstances
    from ganeti.schema.documents import UNREADABLE
    from ganeti.schema.reading import read

    try:
        written = msgspec.json.decode(read_bytes(arguments["file"]))
    except UNREADABLE as e:
        raise read_error(arguments["file"], f"invalid JSON: {e}") from None
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise ExitTool(FAILURE, f"{arguments['file']} must be a JSON list of objects")
    wanted = [{"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", **each} for each in written]
    document = {"iallocator": arguments.get("iallocator"), "instances": wanted}
    opcode = read(AllocateInstances, document)
    return carry_out(session, arguments, opcode, ended=_show_allocated)


def _show_allocated(session: Session, arguments: Arguments, result: Any) -> int:
    """Follow the jobs, and name the instances that could not be placed; the job has shown why."""
    code = show_jobs(session, arguments, result)
    if result["failed"]:
        session.tell(f"Failure: no nodes were found for {', '.join(result['failed'])}")
        return FAILURE
    return code


def console(session: Session, arguments: Arguments) -> int:
    """Connect to the console of an instance, or show how to connect."""
    from ganeti.cli.job_polling import results_of
    from ganeti.opcodes.instance.lifecycle import OpenConsole

    opcode = OpenConsole(instance_name=arguments["instance_name"])
    results = results_of(session, arguments, opcode)
    if not results:
        return 0
    found = results[0]
    if found["kind"] == "ssh":
        words = console_command(found, session.host(), bool(session.paths.root))
        if arguments.get("show_cmd"):
            import shlex

            session.say(shlex.join(words))
            return 0
        session.show("")
        return os.spawnvp(os.P_WAIT, words[0], words)
    session.say(reached(found))
    return 0


def console_command(console: Mapping[str, Any], here: str, virtual: bool) -> list[str]:
    """Return the command that opens a serial console; a ``virtual`` cluster is on this host
    only."""
    words = list(console["command"])
    host, user = console.get("host"), console.get("user")
    if virtual or host in (None, here, "localhost"):
        return words
    import shlex

    target = f"{user}@{host}" if user else str(host)
    return ["ssh", "-q", "-t", target, shlex.join(words)]


def reached(console: Mapping[str, Any]) -> str:
    """Return how to reach a console that is not a command, in one sentence."""
    name = console["instance"]
    match console["kind"]:
        case "vnc":
            where = f"{console.get('host')}:{console.get('port')}"
            display = console.get("display")
            return (
                f"Instance {name} has VNC listening on {where} (display {display});"
                f" connect to vnc://{where}/"
            )
        case "spice":
            where = f"{console.get('host')}:{console.get('port')}"
            return f"Instance {name} has SPICE listening on {where}; use spicy or remote-viewer"
    return str(console.get("message") or f"instance {name} has no console")


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of instances."""
    from ganeti.cli.gnt_instance.info import told
    from ganeti.cli.job_polling import results_of
    from ganeti.cli.listing import show_values
    from ganeti.opcodes.instance.lifecycle import DescribeInstances

    names = arguments.get("names", [])
    if bool(names) == bool(arguments.get("all")):
        raise ExitTool(FAILURE, "name instances, or use --all for all of them")
    opcode = DescribeInstances(instances=tuple(names), static=bool(arguments.get("static")))
    results = results_of(session, arguments, opcode)
    if not results:
        return 0
    facts = results[0]
    return show_values(session, arguments, facts, [told(each) for each in facts.values()])
