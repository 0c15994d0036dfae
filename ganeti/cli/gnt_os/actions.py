# SPDX-License-Identifier: BSD-2-Clause
"""Queries about the OS definitions of the nodes, and the output of ``gnt-os``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.cli.command import Arguments, Document
from ganeti.cli.job_polling import carry_out
from ganeti.cli.output import Fields, objects
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_formatted, show_values
from ganeti.luxi.methods import Query
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.schema.reading import read

_FIELDS = (
    *("name", "valid", "hidden", "blacklisted", "variants", "api_versions", "parameters"),
    *("node_status", "os_hvp", "osparams", "trusted"),
)


def definitions(session: Session, fields: Sequence[str] = _FIELDS) -> list[Fields]:
    """Query the OS definitions."""
    return objects(session.ask(Query(what="os", fields=tuple(fields))))


def names_of(definition: Fields) -> list[str]:
    """Return the names to install by: one for each variant, if there are variants."""
    name = definition["name"]
    return [f"{name}+{variant}" for variant in definition["variants"] or ()] or [name]


def usable(session: Session) -> list[str]:
    """Query the names of all OS definitions that instances can be installed with."""
    found = definitions(session, ("name", "valid", "hidden", "blacklisted", "variants"))
    chosen = [
        each for each in found if each["valid"] and not each["hidden"] and not each["blacklisted"]
    ]
    if not chosen:
        raise ExitTool(FAILURE, "no OS definition is valid on all nodes; see gnt-os diagnose")
    return [name for each in chosen for name in names_of(each)]


def list_usable(session: Session, arguments: Arguments) -> int:
    """List the OS definitions that instances can be installed with."""
    names = usable(session)
    if show_formatted(session, arguments, [{"name": name} for name in names]):
        return 0
    for line in ([] if arguments.get("no_headers") else ["Name"]) + names:
        session.print_line(line)
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of OS definitions."""
    found = definitions(session)
    names = arguments.get("names", [])
    known = {each["name"]: each for each in found}
    missing = [name for name in names if name not in known]
    facts = [known[name] for name in names if name in known] if names else found
    show_values(
        session, arguments, facts, {each["name"]: _format_definition(each) for each in facts}
    )
    if missing:
        raise ExitTool(FAILURE, f"unknown OS definition {', '.join(missing)}; see gnt-os list")
    return 0


def modify(session: Session, arguments: Arguments) -> int:
    """Change the defaults of all instances of an OS definition."""
    name = arguments["name"]
    by_os = {field: arguments.get(option) for option, field in _PARAMETER_FIELDS.items()}
    document: Document = {field: {name: value} for field, value in by_os.items() if value}
    if "hvparams" in arguments:
        document["os_hvp"] = {name: dict(arguments["hvparams"])}
    for option, field in _LIST_FIELDS.items():
        if option in arguments:
            document[field] = [["add" if arguments[option] else "remove", name]]
    if not document:
        raise ExitTool(FAILURE, "no changes requested; give at least one parameter")
    return carry_out(session, arguments, read(ModifyCluster, document), ended=_note_if_unknown)


def _note_if_unknown(session: Session, arguments: Arguments, result: object) -> int:
    """Say that no node has the definition, which may be a typing error, or still to be installed.

    Settings may be made before the definition is installed (``gnt-os(8)``).
    """
    name = arguments["name"]
    if name.partition("+")[0] not in {each["name"] for each in definitions(session, ("name",))}:
        session.print_status(
            f"Note: no node has the OS definition {name}; the settings apply as soon as it is"
            " installed"
        )
    return 0


_PARAMETER_FIELDS = {"osparams": "osparams", "osparams_private": "osparams_private_cluster"}
_LIST_FIELDS = {"hidden": "hidden_os", "blacklisted": "blacklisted_os"}


def _format_definition(each: Fields) -> dict[str, object]:
    return {
        "valid": each["valid"],
        "hidden": each["hidden"],
        "blacklisted": each["blacklisted"],
        "trusted": each["trusted"],
        "API versions": each["api_versions"],
        "variants": each["variants"],
        "parameters": {row[0]: row[1] for row in each["parameters"] or ()},
        "hypervisor parameters": each["os_hvp"],
        "OS parameters": each["osparams"],
    }


def diagnose(session: Session, arguments: Arguments) -> int:
    """Show the state of each OS definition on each node; return 1 if any is invalid."""
    found = definitions(session)
    told = {
        each["name"]: {"status": _format_status(each), "nodes": _format_nodes(each)}
        for each in found
    }
    show_values(session, arguments, found, told)
    return 0 if all(each["valid"] for each in found) else FAILURE


def _format_status(each: Mapping[str, object]) -> str:
    words = ["valid" if each["valid"] else "invalid"]
    words += [word for word in ("hidden", "blacklisted") if each[word]]
    return ", ".join(words)


def _format_nodes(each: Fields) -> dict[str, object]:
    return {
        node: [_format_place(*place) for place in places] or "this node has no such OS definition"
        for node, places in (each["node_status"] or {}).items()
    }


def _format_place(
    path: str,
    valid: bool,
    diagnosis: str,
    variants: Sequence[str],
    parameters: Sequence[object],
    versions: Sequence[int],
    *_: object,
) -> dict[str, object]:
    if not valid:
        return {"path": path, "valid": False, "diagnosis": diagnosis}
    return {
        "path": path,
        "valid": True,
        "API versions": list(versions),
        "variants": list(variants),
    }
