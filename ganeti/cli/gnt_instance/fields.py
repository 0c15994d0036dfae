# SPDX-License-Identifier: BSD-2-Clause
"""The fields of opcodes that are composed of several options of ``gnt-instance``."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.cli.command import Arguments, Document
from ganeti.cli.options import natural
from ganeti.cli.session import FAILURE, ExitTool
from ganeti.errors import Invalid
from ganeti.schema.size_units import mebibytes


def creation(arguments: Arguments, *, from_export: bool = False) -> Document:
    """Return the fields of a creation request that are composed of several options.

    An imported instance has the disks and network cards of its export unless others are given, and
    one that was reserved has those of its reservation.

    :raises ExitTool: if options contradict each other.
    """
    # What is not given is as the reservation or the export has it.
    known = from_export or bool(arguments.get("commit"))
    primary, _, secondary = arguments.get("node", "").partition(":")
    hypervisor, hvparams = arguments.get("hypervisor_parameters", (None, {}))
    return {
        "mode": "create",
        "disks": _new_disks(arguments, known),
        "nics": [] if known and "net" not in arguments else _new_nics(arguments),
        "pnode": primary or None,
        "snode": secondary or None,
        "hypervisor": hypervisor,
        "hvparams": hvparams or {},
    }


def clone(arguments: Arguments) -> Document:
    """Return the nodes of a copy."""
    primary, _, secondary = arguments.get("node", "").partition(":")
    return {"pnode": primary or None, "snode": secondary or None}


def _new_disks(arguments: Arguments, known: bool) -> list[Document]:
    given, size = arguments.get("disk", []), arguments.get("os_size")
    diskless = arguments.get("disk_template") == "diskless"
    if diskless and (given or size is not None):
        raise ExitTool(FAILURE, "a diskless instance has no disks; omit --disk and -s")
    if given and size is not None:
        raise ExitTool(FAILURE, "-s gives the size of a single disk; use either -s or --disk")
    if size is not None:
        return [{"size": size}]
    if not given and not diskless and not known:
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


def _sort_by_index(flag: str, given: Sequence[tuple[str, object]]) -> list[Document]:
    """Return the settings given for 0, 1, … in this order.

    :raises ExitTool: if a number is missing, repeated or malformed.
    """
    found: dict[int, Document] = {}
    for ident, values in given:
        number = _parse_number(ident)
        if number is None or not isinstance(values, dict):
            raise ExitTool(FAILURE, f"--{flag} {ident}: must be a number, a colon and settings")
        if number in found:
            raise ExitTool(FAILURE, f"--{flag} {ident} is given twice")
        if bare := [key for key, value in values.items() if isinstance(value, bool)]:
            raise ExitTool(FAILURE, f"--{flag} {ident}: {bare[0]} must be KEY=VALUE")
        found[number] = values
    missing = [index for index in range(len(found)) if index not in found]
    if missing:
        raise ExitTool(FAILURE, f"--{flag} {missing[0]} is missing; number from 0 without gaps")
    return [found[index] for index in sorted(found)]


def _parse_number(text: str) -> int | None:
    """Return the number of a disk or network card; None if the text is none."""
    try:
        return natural(text)
    except ValueError:
        return None


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


def _parse_changes(flag: str, given: Sequence[tuple[str, object]]) -> list[list[object]]:
    return [_parse_change(f"--{flag} {ident}", ident, values) for ident, values in given]


def _parse_change(flag: str, ident: str, values: object) -> list[object]:
    if not isinstance(values, dict):
        raise ExitTool(FAILURE, f"{flag}: use {ident}:remove to remove it")
    if ident in ("add", "remove", "attach", "detach"):
        return [ident, -1, _convert_size(flag, values)]
    where = -1 if ident == "-1" else _parse_number(ident)
    actions = [action for action in _ACTIONS if values.get(action) is True]
    if len(actions) > 1:
        raise ExitTool(FAILURE, f"{flag}: {' and '.join(actions)} exclude each other")
    settings = {name: value for name, value in values.items() if name not in actions}
    return [
        actions[0] if actions else "modify",
        ident if where is None else where,
        _convert_size(flag, settings),
    ]


def grow_disk_fields(arguments: Arguments) -> Document:
    """Return which disk to grow, and by how many MiB."""
    disk = _parse_number(arguments["disk"])
    if disk is None:
        raise ExitTool(
            FAILURE, f"{arguments['disk']} is not a disk number; disks are numbered from 0"
        )
    return {"disk": disk, "amount": mebibytes(arguments["amount"])}


def recreate_disks_fields(arguments: Arguments) -> Document:
    """Return the disks to recreate, and the nodes to create them on."""
    disks: list[object] = []
    for ident, values in arguments.get("disk", []):
        number = _parse_number(ident)
        if number is None or not isinstance(values, dict):
            raise ExitTool(FAILURE, f"--disk {ident}: must be the number of a disk")
        disks.append([number, _convert_size(f"--disk {ident}", values)])
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
    disks = [_parse_number(each) for each in numbers]
    if None in disks:
        raise ExitTool(FAILURE, f"--disks {','.join(numbers)}: must be numbers")
    return {"mode": chosen[0], "disks": disks}
