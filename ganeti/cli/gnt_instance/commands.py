# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-instance``: virtual machines, from their making to their end."""

from __future__ import annotations

from ganeti.cli.command import FORCE, READS, Command, CommandGroup, tool
from ganeti.cli.gnt_instance.actions import (
    batch_create,
    console,
    creation,
    disk_amount,
    info,
    modification,
    new_disks,
    reinstall,
    replacement,
    show_activated,
    show_changes,
    show_jobs,
)
from ganeti.cli.listing import FORM, ROMAN, Listing, lists
from ganeti.cli.options import IDENTKEYVAL, KEYVAL, LIST, TEXT, UNIT, Option, OptionType, choice
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

INSTANCE = (CommandGroup("instance_name", "instance"),)
INSTANCES = (CommandGroup("names", "instance", 0, None),)

NODES = Option(
    ("-n", "--node"),
    "node",
    "The node to run on; behind a colon, the one for the second copy of mirrored disks.",
    TEXT,
    metavar="PNODE[:SNODE]",
)
DISK = OptionType("identkeyval", "N:size=SIZE,…", IDENTKEYVAL.parse)
NET = OptionType("identkeyval", "N:KEY=VALUE,…", IDENTKEYVAL.parse)

CREATION = (
    Option(("--disk",), "disk", "A disk: its number, size and other settings.", DISK, many=True),
    Option(("-s", "--os-size"), "os_size", "The size of the only disk.", UNIT),
    Option(
        ("--net",),
        "net",
        "A network card: its number, and mac, ip, mode, link, vlan, network or name.",
        NET,
        many=True,
    ),
    Option(("--no-nics",), "no_nics", "Make no network card."),
    NODES,
    Option(
        ("-H", "--hypervisor-parameters"),
        "hypervisor_parameters",
        "The hypervisor, and behind a colon its parameters.",
        IDENTKEYVAL,
        metavar="HYPERVISOR[:KEY=VALUE,…]",
    ),
)
NOT_GIVEN_HERE = (
    *("mode", "disks", "nics", "pnode", "snode", "hypervisor", "hvparams"),
    *("source_handshake", "source_instance_name", "source_shutdown_timeout", "source_x509_ca"),
)
OF_IMPORTS = ("src_node", "src_path", "identify_defaults", "compress")

_CHANGE_DISK = (
    "Change disk N, add one (add:…, N:add,…), or remove one (remove, N:remove, N:detach)."
)
_CHANGE_NIC = "Change network card N, add one (add:…, N:add,…), or remove one (remove, N:remove)."
_CHANGE = "N|add|remove[:KEY=VALUE,…]"


def _instance(name: str, opcode: str, **more: object) -> Command:
    """A command about one instance."""
    return Command(name=name, opcode=opcode, words=INSTANCE, **more)  # type: ignore[arg-type]


def _instances(name: str, opcode: str, **more: object) -> Command:
    """A command about as many instances as wanted."""
    return Command(
        name=name,
        opcode=opcode,
        words=INSTANCES,
        many="instance_name",
        **more,  # type: ignore[arg-type]
    )


GNT_INSTANCE = tool(
    "gnt-instance",
    "Makes, runs, changes and removes the cluster's virtual machines.",
    lists(
        Listing(
            what="instance",
            columns=("name", "hypervisor", "os", "pnode", "status", "oper_ram"),
        ),
        doc="List instances.",
        words="instance",
        units=True,
        own_defaults=True,
    ),
    tag_commands("instance", "instance"),
    _instance(
        "add",
        "OP_INSTANCE_CREATE",
        options=CREATION,
        without=NOT_GIVEN_HERE + OF_IMPORTS,
        flags=(Option(("--no-install",), "no_install", ""),),
        given=creation,
    ),
    _instance("remove", "OP_INSTANCE_REMOVE", confirm="Remove {instance_name} and all its data?"),
    _instances("startup", "OP_INSTANCE_STARTUP", aliases=("start",), without=("shutdown_timeout",)),
    _instances(
        "shutdown", "OP_INSTANCE_SHUTDOWN", aliases=("stop",), without=("admin_state_source",)
    ),
    _instances("reboot", "OP_INSTANCE_REBOOT", preset={"reboot_type": "hard"}),
    _instances(
        "reinstall",
        "OP_INSTANCE_REINSTALL",
        options=(Option(("--select-os",), "select_os", "Show the OS definitions, ask which."),),
        confirm="What is on the system disks is lost.",
        run=reinstall,
    ),
    Command(
        name="rename",
        opcode="OP_INSTANCE_RENAME",
        words=(*INSTANCE, CommandGroup("new_name", "new-name")),
        options=(FORCE,),
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Tell everything about instances, down to their disks.",
        words=INSTANCES,
        options=(
            Option(("--all",), "all", "All instances of the cluster."),
            Option(("-s", "--static"), "static", "Do not ask the nodes for what only they know."),
            FORM,
            ROMAN,
        ),
        submits=True,
        job_options=READS,
        run=info,
    ),
    Command(
        name="console",
        doc="Connect this terminal to the console of an instance.",
        words=INSTANCE,
        options=(
            Option(("--show-cmd",), "show_cmd", "Print the command that would be run instead."),
        ),
        submits=True,
        job_options=READS,
        run=console,
    ),
    _instance(
        "modify",
        "OP_INSTANCE_SET_PARAMS",
        options=(
            Option(("--disk",), "disk", _CHANGE_DISK, IDENTKEYVAL, many=True, metavar=_CHANGE),
            Option(("--net",), "net", _CHANGE_NIC, IDENTKEYVAL, many=True, metavar=_CHANGE),
            Option(("--offline",), "offline", "Take the stopped instance out of use."),
            Option(("--online",), "offline", "Take it back in.", sets=False),
        ),
        flags=(
            Option(("--new-primary",), "pnode", "", TEXT, metavar="NODE"),
            Option(("-n", "--node"), "remote_node", "", TEXT, metavar="NODE"),
            Option(("-e", "--ext-params"), "ext_params", "", KEYVAL),
        ),
        without=("disks", "nics"),
        given=modification,
        ended=show_changes,
    ),
    _instance(
        "activate-disks",
        "OP_INSTANCE_ACTIVATE_DISKS",
        ended=show_activated,
    ),
    _instance("deactivate-disks", "OP_INSTANCE_DEACTIVATE_DISKS"),
    Command(
        name="grow-disk",
        opcode="OP_INSTANCE_GROW_DISK",
        words=(*INSTANCE, CommandGroup("disk", "disk-number"), CommandGroup("amount", "size")),
        given=disk_amount,
    ),
    _instance(
        "recreate-disks",
        "OP_INSTANCE_RECREATE_DISKS",
        options=(
            Option(
                ("--disk",), "disk", "Only this disk, with new settings if any.", DISK, many=True
            ),
            NODES,
        ),
        without=("disks", "nodes"),
        given=new_disks,
    ),
    _instance(
        "replace-disks",
        "OP_INSTANCE_REPLACE_DISKS",
        options=(
            Option(("-p", "--on-primary"), "on_primary", "Build the primary's copies anew."),
            Option(("-s", "--on-secondary"), "on_secondary", "Build the secondary's anew."),
            Option(("-a", "--auto"), "auto", "Build those anew that are broken."),
            Option(("--disks",), "numbers", "Only these disks, by number.", LIST),
        ),
        flags=(Option(("-n", "--new-secondary"), "remote_node", "", TEXT, metavar="NODE"),),
        without=("mode", "disks"),
        given=replacement,
    ),
    _instance(
        "failover",
        "OP_INSTANCE_FAILOVER",
        confirm="Fail over {instance_name}? Its guest is stopped and started elsewhere.",
    ),
    _instance(
        "migrate",
        "OP_INSTANCE_MIGRATE",
        flags=(Option(("--migration-mode",), "mode", "", choice(("live", "non-live"))),),
        confirm="Migrate {instance_name}?",
    ),
    _instance(
        "move",
        "OP_INSTANCE_MOVE",
        flags=(Option(("-n", "--node"), "target_node", "", TEXT, metavar="NODE"),),
        confirm="Move {instance_name}? Its guest is stopped while the disks are copied.",
    ),
    _instance("change-group", "OP_INSTANCE_CHANGE_GROUP", ended=show_jobs),
    Command(
        name="batch-create",
        doc="Create the instances that a file describes: JSON, a list of objects, each with the"
        " fields of a request to create one.",
        words=(CommandGroup("file", "file"),),
        options=(
            Option(("-I", "--iallocator"), "iallocator", "The allocator that chooses nodes.", TEXT),
        ),
        submits=True,
        run=batch_create,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_INSTANCE)


if __name__ == "__main__":
    main()
