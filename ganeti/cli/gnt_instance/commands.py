# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-instance``: create, run, change and remove instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import FORCE, READS, Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, NO_HEADERS, ROMAN, SEPARATOR, Listing, lists
from ganeti.cli.options import (
    COUNT,
    IDENTKEYVAL,
    KEYVAL,
    LIST,
    TEXT,
    UNIT,
    Option,
    OptionType,
    choice,
)
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

if TYPE_CHECKING:
    from ganeti.cli import job_polling
    from ganeti.cli.gnt_instance import actions, fields, snapshots
else:
    job_polling = LazyModule("ganeti.cli.job_polling")
    fields = LazyModule("ganeti.cli.gnt_instance.fields")
    actions = LazyModule("ganeti.cli.gnt_instance.actions")
    snapshots = LazyModule("ganeti.cli.gnt_instance.snapshots")

INSTANCE = (Positional("instance_name", "instance"),)
NEW_INSTANCE = (Positional("instance_name", "instance", new=True),)
INSTANCES = (Positional("names", "instance", 0, None),)

NODES = Option(
    ("-n", "--node"),
    "node",
    "The primary node; after a colon, the secondary node for DRBD disks.",
    TEXT,
    metavar="PNODE[:SNODE]",
)
DISK = OptionType("identkeyval", "N:size=SIZE,…", IDENTKEYVAL.parse, keys="disk-device")
NET = OptionType("identkeyval", "N:KEY=VALUE,…", IDENTKEYVAL.parse, keys="nic-device")

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
    Option(("--no-nics",), "no_nics", "Create no network card."),
    NODES,
    Option(
        ("-H", "--hypervisor-parameters"),
        "hypervisor_parameters",
        "The hypervisor; after a colon, its parameters.",
        IDENTKEYVAL.with_keys("hypervisor"),
        metavar="HYPERVISOR[:KEY=VALUE,…]",
    ),
)
CREATION_EXCLUDED = (
    *("mode", "disks", "nics", "pnode", "snode", "hypervisor", "hvparams"),
    *("source_handshake", "source_instance_name", "source_shutdown_timeout", "source_x509_ca"),
)
IMPORT_FIELDS = ("src_node", "src_path", "src_backup", "identify_defaults", "compress")

_CHANGE_DISK = (
    "Change disk N, add one (add:…, N:add,…), or remove one (remove, N:remove, N:detach)."
)
_CHANGE_NIC = "Change network card N, add one (add:…, N:add,…), or remove one (remove, N:remove)."
_CHANGE = "N|add|remove[:KEY=VALUE,…]"
_DISK_CHANGE = OptionType("identkeyval", _CHANGE, IDENTKEYVAL.parse, keys="disk-change")
_NIC_CHANGE = OptionType("identkeyval", _CHANGE, IDENTKEYVAL.parse, keys="nic-change")


def _instance_command(name: str, opcode: str, **more: object) -> Command:
    """Return a command about one instance."""
    return Command(name=name, opcode=opcode, words=INSTANCE, **more)  # type: ignore[arg-type]


def _snapshot_command(name: str, opcode: str, *, new: bool = False, **more: object) -> Command:
    """Return a command about a snapshot of an instance."""
    snapshot = Positional("snapshot_name", "snapshot", new=new, owner="instance_name")
    words = (*INSTANCE, snapshot)
    return Command(name=name, opcode=opcode, words=words, **more)  # type: ignore[arg-type]


def _multi_instance_command(name: str, opcode: str, **more: object) -> Command:
    """Return a command about any number of instances."""
    return Command(
        name=name,
        opcode=opcode,
        words=INSTANCES,
        many="instance_name",
        **more,  # type: ignore[arg-type]
    )


GNT_INSTANCE = tool(
    "gnt-instance",
    "Create, run, change and remove instances.",
    lists(
        Listing(
            what="instance",
            columns=("name", "hypervisor", "os", "pnode", "status", "oper_ram"),
        ),
        doc="List instances.",
        watch=True,
        words="instance",
        units=True,
        own_defaults=True,
    ),
    tag_commands("instance", "instance"),
    Command(
        name="add",
        opcode="OP_INSTANCE_CREATE",
        words=NEW_INSTANCE,
        options=CREATION,
        without=CREATION_EXCLUDED + IMPORT_FIELDS,
        flags=(Option(("--no-install",), "no_install", ""),),
        given=fields.creation,
    ),
    Command(
        name="clone",
        opcode="OP_INSTANCE_CLONE",
        words=(*INSTANCE, Positional("new_name", "new-name")),
        options=(NODES,),
        flags=(Option(("--snapshot",), "snapshot_name", "", TEXT, metavar="NAME"),),
        without=("pnode", "snode"),
        given=fields.clone,
    ),
    _instance_command(
        "remove", "OP_INSTANCE_REMOVE", confirm="Remove {instance_name} and all its data?"
    ),
    _multi_instance_command(
        "startup", "OP_INSTANCE_STARTUP", aliases=("start",), without=("shutdown_timeout",)
    ),
    _multi_instance_command(
        "shutdown", "OP_INSTANCE_SHUTDOWN", aliases=("stop",), without=("admin_state_source",)
    ),
    _multi_instance_command("reboot", "OP_INSTANCE_REBOOT", preset={"reboot_type": "hard"}),
    _multi_instance_command(
        "reinstall",
        "OP_INSTANCE_REINSTALL",
        options=(
            Option(("--select-os",), "select_os", "List the OS definitions and ask for one."),
        ),
        confirm="The data on the system disks will be lost.",
        run=actions.reinstall,
    ),
    Command(
        name="rename",
        opcode="OP_INSTANCE_RENAME",
        words=(*INSTANCE, Positional("new_name", "new-name")),
        options=(FORCE,),
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show the details of instances, including their disks.",
        words=INSTANCES,
        options=(
            Option(("--all",), "all", "All instances of the cluster."),
            Option(
                ("-s", "--static"), "static", "Do not query the nodes; show only the configuration."
            ),
            FORM,
            ROMAN,
        ),
        submits=True,
        job_options=READS,
        run=actions.info,
    ),
    Command(
        name="console",
        doc="Connect this terminal to the console of an instance.",
        words=INSTANCE,
        options=(Option(("--show-cmd",), "show_cmd", "Print the command instead of running it."),),
        submits=True,
        job_options=READS,
        run=actions.console,
    ),
    _instance_command(
        "modify",
        "OP_INSTANCE_SET_PARAMS",
        options=(
            Option(("--disk",), "disk", _CHANGE_DISK, _DISK_CHANGE, many=True),
            Option(("--net",), "net", _CHANGE_NIC, _NIC_CHANGE, many=True),
            Option(
                ("--offline",),
                "offline",
                "Mark the stopped instance as offline, so that it cannot be started.",
            ),
            Option(
                ("--online",),
                "offline",
                "Mark the instance as no longer offline, so that it can be started.",
                sets=False,
            ),
        ),
        flags=(
            Option(("--new-primary",), "pnode", "", TEXT, metavar="NODE"),
            Option(("-n", "--node"), "remote_node", "", TEXT, metavar="NODE"),
            Option(("-e", "--ext-params"), "ext_params", "", KEYVAL),
        ),
        without=("disks", "nics"),
        given=fields.modification_fields,
        ended=actions.show_changes,
    ),
    _instance_command(
        "activate-disks",
        "OP_INSTANCE_ACTIVATE_DISKS",
        ended=actions.show_activated,
    ),
    _instance_command("deactivate-disks", "OP_INSTANCE_DEACTIVATE_DISKS"),
    Command(
        name="grow-disk",
        opcode="OP_INSTANCE_GROW_DISK",
        words=(*INSTANCE, Positional("disk", "disk-number"), Positional("amount", "size")),
        given=fields.grow_disk_fields,
    ),
    _instance_command(
        "recreate-disks",
        "OP_INSTANCE_RECREATE_DISKS",
        options=(
            Option(
                ("--disk",),
                "disk",
                "Recreate only this disk, optionally with new settings.",
                DISK,
                many=True,
            ),
            NODES,
        ),
        without=("disks", "nodes"),
        given=fields.recreate_disks_fields,
    ),
    _instance_command(
        "replace-disks",
        "OP_INSTANCE_REPLACE_DISKS",
        options=(
            Option(("-p", "--on-primary"), "on_primary", "Replace the disks on the primary node."),
            Option(
                ("-s", "--on-secondary"), "on_secondary", "Replace the disks on the secondary node."
            ),
            Option(("-a", "--auto"), "auto", "Replace the disks that are broken."),
            Option(("--disks",), "numbers", "Replace only these disks, by number.", LIST),
        ),
        flags=(Option(("-n", "--new-secondary"), "remote_node", "", TEXT, metavar="NODE"),),
        without=("mode", "disks"),
        given=fields.replacement,
    ),
    _instance_command(
        "failover",
        "OP_INSTANCE_FAILOVER",
        confirm="Fail over {instance_name}? Its guest is stopped and started on another node.",
    ),
    Command(
        name="failover-policy",
        opcode="OP_INSTANCE_SET_FAILOVER",
        doc="Set what happens to an instance when its guest or its node is lost.",
        words=INSTANCE,
        flags=(
            Option(("--policy",), "policy", "", choice(("off", "restart", "failover"))),
            Option(("--rank",), "rank", "", COUNT),
        ),
    ),
    _snapshot_command("snapshot create", "OP_INSTANCE_SNAPSHOT_CREATE", new=True),
    _snapshot_command(
        "snapshot revert",
        "OP_INSTANCE_SNAPSHOT_REVERT",
        confirm="Revert the disks of {instance_name} to {snapshot_name}? What was written since"
        " is lost.",
    ),
    _snapshot_command("snapshot remove", "OP_INSTANCE_SNAPSHOT_REMOVE"),
    Command(
        name="snapshot list",
        doc="List the snapshots of an instance.",
        words=INSTANCE,
        options=(NO_HEADERS, SEPARATOR, FORM),
        run=snapshots.show_snapshots,
    ),
    _instance_command(
        "migrate",
        "OP_INSTANCE_MIGRATE",
        flags=(Option(("--migration-mode",), "mode", "", choice(("live", "non-live"))),),
        confirm="Migrate {instance_name}?",
    ),
    _instance_command(
        "move",
        "OP_INSTANCE_MOVE",
        flags=(Option(("-n", "--node"), "target_node", "", TEXT, metavar="NODE"),),
        confirm="Move {instance_name}? Its guest is stopped while its disks are copied.",
    ),
    _instance_command(
        "change-group", "OP_INSTANCE_CHANGE_GROUP", ended=job_polling.follow_submitted_jobs
    ),
    Command(
        name="batch-create",
        doc="Create the instances described in a file: a JSON list of objects, each with the"
        " fields of a creation request.",
        words=(Positional("file", "file"),),
        options=(
            Option(
                ("-I", "--iallocator"),
                "iallocator",
                "The instance allocator that selects nodes.",
                TEXT,
            ),
        ),
        submits=True,
        run=actions.batch_create,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_INSTANCE)


if __name__ == "__main__":
    main()
