# SPDX-License-Identifier: BSD-2-Clause
"""What the commands of ``gnt-instance`` do beyond their declarations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli.command import Arguments, Document
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import Invalid
from ganeti.schema.units import mebibytes

# --- what is asked for, from options to the fields of requests


def creation(arguments: Arguments, *, from_export: bool = False) -> Document:
    """The parts of a request for a new instance that no single option stands for.

    One that is made of an export has the disks and cards of the export unless others are given.

    :raises ExitTool: options that do not go together.
    """
    primary, _, secondary = arguments.get("node", "").partition(":")
    hypervisor, hvparams = arguments.get("hypervisor_parameters", (None, {}))
    return {
        "mode": "create",
        "disks": _disks(arguments, from_export),
        "nics": [] if from_export and "net" not in arguments else _nics(arguments),
        "pnode": primary or None,
        "snode": secondary or None,
        "hypervisor": hypervisor,
        "hvparams": hvparams or {},
    }


def _disks(arguments: Arguments, from_export: bool) -> list[Document]:
    given, size = arguments.get("disk", []), arguments.get("os_size")
    diskless = arguments.get("disk_template") == "diskless"
    if diskless and (given or size is not None):
        raise ExitTool(FAILURE, "a diskless instance has no disks; leave out --disk and -s")
    if given and size is not None:
        raise ExitTool(FAILURE, "-s is the size of the only disk; use it or --disk")
    if size is not None:
        return [{"size": size}]
    if not given and not diskless and not from_export:
        raise ExitTool(
            FAILURE, "say which disks: -s SIZE for one, --disk 0:size=SIZE …, or -t diskless"
        )
    return [_sized(f"--disk {index}", disk) for index, disk in enumerate(_numbered("disk", given))]


def _nics(arguments: Arguments) -> list[Document]:
    given = arguments.get("net", [])
    if arguments.get("no_nics"):
        if given:
            raise ExitTool(FAILURE, "--no-nics and --net do not go together")
        return []
    return _numbered("net", given) if given else [{}]


def _numbered(flag: str, given: Sequence[tuple[str, Any]]) -> list[Document]:
    """What was given for 0, 1, … in this order.

    :raises ExitTool: a number is missing, or given twice, or is none.
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
        raise ExitTool(FAILURE, f"--{flag} {missing[0]} is missing; count from 0 without gaps")
    return [found[index] for index in sorted(found)]


def _sized(where: str, values: Document) -> Document:
    """The settings of a disk with its size in MiB."""
    if not isinstance(values.get("size"), str):
        return values
    try:
        return {**values, "size": mebibytes(values["size"])}
    except Invalid as e:
        raise ExitTool(FAILURE, f"{where}: {e}") from None


_ACTIONS = ("add", "remove", "attach", "detach", "modify")


def modification(arguments: Arguments) -> Document:
    """The changes of disks and network cards, as lists of ``[action, where, parameters]``."""
    return {
        "disks": _changes("disk", arguments.get("disk", [])),
        "nics": _changes("net", arguments.get("net", [])),
    }


def _changes(flag: str, given: Sequence[tuple[str, Any]]) -> list[list[Any]]:
    return [_change(f"--{flag} {ident}", ident, values) for ident, values in given]


def _change(flag: str, ident: str, values: Any) -> list[Any]:
    if not isinstance(values, dict):
        raise ExitTool(FAILURE, f"{flag}: say {ident}:remove to remove it")
    if ident in ("add", "remove", "attach", "detach"):
        return [ident, -1, _sized(flag, values)]
    where: int | str = int(ident) if ident.lstrip("-").isdecimal() else ident
    actions = [action for action in _ACTIONS if values.get(action) is True]
    if len(actions) > 1:
        raise ExitTool(FAILURE, f"{flag}: {' and '.join(actions)} do not go together")
    settings = {name: value for name, value in values.items() if name not in actions}
    return [actions[0] if actions else "modify", where, _sized(flag, settings)]


def disk_amount(arguments: Arguments) -> Document:
    """Which disk grows, and by how much in MiB."""
    disk = arguments["disk"]
    if not disk.isdecimal():
        raise ExitTool(FAILURE, f"{disk} is no disk number; disks are counted from 0")
    return {"disk": int(disk), "amount": mebibytes(arguments["amount"])}


def new_disks(arguments: Arguments) -> Document:
    """The disks to make anew, and the nodes to make them on."""
    disks: list[Any] = []
    for ident, values in arguments.get("disk", []):
        if not ident.isdecimal() or not isinstance(values, dict):
            raise ExitTool(FAILURE, f"--disk {ident}: must be the number of a disk")
        disks.append([int(ident), _sized(f"--disk {ident}", values)])
    nodes = [name for name in arguments.get("node", "").split(":") if name]
    return {"disks": disks, "nodes": nodes}


def replacement(arguments: Arguments) -> Document:
    """Which side of mirrored disks is built anew."""
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
            "say which copies are built anew by one of -p, -s, -a, or -n NODE or -I ALLOCATOR for"
            " another secondary node",
        )
    numbers = arguments.get("numbers", [])
    if not all(each.isdecimal() for each in numbers):
        raise ExitTool(FAILURE, f"--disks {','.join(numbers)}: must be numbers")
    return {"mode": chosen[0], "disks": [int(each) for each in numbers]}


# --- commands


def reinstall(session: Session, arguments: Arguments) -> int:
    """Install instances again, after asking for the OS definition if that is wanted."""
    from ganeti.cli.command import request

    if arguments.get("select_os"):
        arguments = arguments.plus({"os_type": _selected_os(session)})
    return request(session, arguments)


def _selected_os(session: Session) -> str:
    from ganeti.cli.gnt_os.actions import usable

    names = usable(session)
    for number, name in enumerate(names):
        session.say(f"{number:3}: {name}")
    said = session.question("Which of these, by number? ", "-o OS")
    if not said.isdecimal() or int(said) >= len(names):
        raise ExitTool(FAILURE, f"{said} is none of these numbers; nothing was done")
    return names[int(said)]


def show_activated(session: Session, arguments: Arguments, result: Any) -> int:
    """Tell where the disks are now."""
    for host, name, device in result:
        session.say(f"{host}:{name}:{device}")
    return 0


def show_changes(session: Session, arguments: Arguments, result: Any) -> int:
    """Tell what was changed, and when that takes effect."""
    if result:
        session.say(f"Modified instance {arguments['instance_name']}")
        for name, value in result:
            session.say(f" - {name} -> {value}")
        session.say("Most parameters take effect when the instance is started next.")
    return 0


def show_jobs(session: Session, arguments: Arguments, result: Any) -> int:
    """Show how the jobs go that a job has submitted."""
    from ganeti.cli.job_polling import follow_further

    return follow_further(session, arguments, result)


def batch_create(session: Session, arguments: Arguments) -> int:
    """Create the instances that a file describes."""
    import msgspec

    from ganeti.cli.input_files import read_bytes, unreadable
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.instance.create import AllocateInstances
    from ganeti.schema.documents import UNREADABLE
    from ganeti.schema.reading import read

    try:
        written = msgspec.json.decode(read_bytes(arguments["file"]))
    except UNREADABLE as e:
        raise unreadable(arguments["file"], f"it is not JSON: {e}") from None
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise ExitTool(FAILURE, f"{arguments['file']} must be a JSON list of objects")
    wanted = [{"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", **each} for each in written]
    document = {"iallocator": arguments.get("iallocator"), "instances": wanted}
    opcode = read(AllocateInstances, document)
    return carry_out(session, arguments, opcode, ended=_show_allocated)


def _show_allocated(session: Session, arguments: Arguments, result: Any) -> int:
    """Show how the jobs go, and name the instances that have none; why was told before."""
    code = show_jobs(session, arguments, result)
    if result["failed"]:
        session.tell(f"Failure: no place was found for {', '.join(result['failed'])}")
        return FAILURE
    return code


def console(session: Session, arguments: Arguments) -> int:
    """Connect to the console, or say how to."""
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
    """What to run to get at a serial console; all nodes of a ``virtual`` cluster are here."""
    words = list(console["command"])
    host, user = console.get("host"), console.get("user")
    if virtual or host in (None, here, "localhost"):
        return words
    import shlex

    target = f"{user}@{host}" if user else str(host)
    return ["ssh", "-q", "-t", target, shlex.join(words)]


def reached(console: Mapping[str, Any]) -> str:
    """How to reach a console that is no command, in a sentence."""
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
    """Tell everything about instances."""
    from ganeti.cli.gnt_instance.info import told
    from ganeti.cli.job_polling import results_of
    from ganeti.cli.listing import show_facts
    from ganeti.opcodes.instance.lifecycle import DescribeInstances

    names = arguments.get("names", [])
    if bool(names) == bool(arguments.get("all")):
        raise ExitTool(FAILURE, "name instances, or say --all for all of them")
    opcode = DescribeInstances(instances=tuple(names), static=bool(arguments.get("static")))
    results = results_of(session, arguments, opcode)
    if not results:
        return 0
    facts = results[0]
    return show_facts(session, arguments, facts, [told(each) for each in facts.values()])
