# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-instance`` commands that do more than submit one opcode."""

from __future__ import annotations

import os
import shlex

import msgspec

from ganeti.cli.command import Arguments, OpcodeResult
from ganeti.cli.gnt_instance.info import told
from ganeti.cli.gnt_os.actions import usable
from ganeti.cli.input_files import read_bytes, read_error
from ganeti.cli.job_polling import carry_out, follow_submitted_jobs, results_of
from ganeti.cli.opcode_request import request
from ganeti.cli.output import Fields
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_values
from ganeti.opcodes.instance.create import AllocateInstances
from ganeti.opcodes.instance.lifecycle import DescribeInstances, OpenConsole
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.reading import read


def reinstall(session: Session, arguments: Arguments) -> int:
    """Reinstall instances, after asking for the OS definition with ``--select-os``."""
    if arguments.get("select_os"):
        arguments = arguments.plus({"os_type": _ask_for_os(session)})
    return request(session, arguments)


def _ask_for_os(session: Session) -> str:
    names = usable(session)
    for number, name in enumerate(names):
        session.print_line(f"{number:3}: {name}")
    said = session.question("Number of the OS definition: ", "-o OS")
    # Compared as text, which may be no number.
    by_number = {str(number): name for number, name in enumerate(names)}
    if said not in by_number:
        raise ExitTool(FAILURE, f"{said} is not one of these numbers; nothing was changed")
    return by_number[said]


def show_activated(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Show the device of each activated disk."""
    for host, name, device in result:
        session.print_line(f"{host}:{name}:{device}")
    return 0


def show_changes(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Show what was changed, and when it takes effect."""
    if result:
        session.print_line(f"Modified instance {arguments['instance_name']}")
        for name, value in result:
            session.print_line(f" - {name} -> {value}")
        at_once = arguments.get("hotplug") or [name for name, _ in result] == ["disk_template"]
        if not at_once:
            session.print_line("Most parameters take effect at the next start of the instance.")
    return 0


def batch_create(session: Session, arguments: Arguments) -> int:
    """Create the instances described in a file."""
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


def _show_allocated(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Follow the jobs, and name the instances that could not be placed; the job has shown why."""
    code = follow_submitted_jobs(session, arguments, result)
    if result["failed"]:
        session.print_status(f"Failure: no nodes were found for {', '.join(result['failed'])}")
        return FAILURE
    return code


def console(session: Session, arguments: Arguments) -> int:
    """Connect to the console of an instance, or show how to connect."""
    opcode = OpenConsole(instance_name=arguments["instance_name"])
    results = results_of(session, arguments, opcode)
    if not results:
        return 0
    found = results[0]
    if found["kind"] == "ssh":
        words = console_command(found, session.host(), bool(session.paths.root))
        if arguments.get("show_cmd"):
            session.print_line(shlex.join(words))
            return 0
        # Flush the output before another program writes to the terminal.
        session.show("")
        return os.spawnvp(os.P_WAIT, words[0], words)
    session.print_line(reached(found))
    return 0


def console_command(console: Fields, here: str, virtual: bool) -> list[str]:
    """Return the command that opens a serial console; a ``virtual`` cluster is on this host
    only."""
    words = list(console["command"])
    host, user = console.get("host"), console.get("user")
    if virtual or host in (None, here, "localhost"):
        return words
    target = f"{user}@{host}" if user else str(host)
    return ["ssh", "-q", "-t", target, shlex.join(words)]


def reached(console: Fields) -> str:
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
    names = arguments.get("names", [])
    if bool(names) == bool(arguments.get("all")):
        raise ExitTool(FAILURE, "name instances, or use --all for all of them")
    opcode = DescribeInstances(instances=tuple(names), static=bool(arguments.get("static")))
    results = results_of(session, arguments, opcode)
    if not results:
        return 0
    facts = results[0]
    return show_values(session, arguments, facts, [told(each) for each in facts.values()])
