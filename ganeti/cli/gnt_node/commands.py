# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-node``: add, show, change and remove nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import (
    FORCE,
    READS,
    Arguments,
    Command,
    Document,
    Positional,
    tool,
)
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import (
    FORM,
    NO_HEADERS,
    OUTPUT,
    SEPARATOR,
    UNITS,
    Listing,
    lists,
)
from ganeti.cli.options import (
    ADDRESS,
    BOOL,
    IDENTKEYVAL,
    PORT,
    SECONDS,
    TEXT,
    WHOLE_SECONDS,
    Option,
    choice,
)
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

if TYPE_CHECKING:
    from ganeti.cli import job_polling
    from ganeti.cli.gnt_node import actions, joining, power
else:
    job_polling = LazyModule("ganeti.cli.job_polling")
    actions = LazyModule("ganeti.cli.gnt_node.actions")
    joining = LazyModule("ganeti.cli.gnt_node.joining")
    power = LazyModule("ganeti.cli.gnt_node.power")

NODE = (Positional("node_name", "node"),)
NEW_NODE = (Positional("node_name", "node", new=True),)
NODES = (Positional("names", "node", 0, None),)

STATES = (
    Option(
        ("--hypervisor-state",),
        "hv_state",
        "",
        IDENTKEYVAL.with_keys("hypervisor-state"),
        many=True,
    ),
    Option(("--disk-state",), "disk_state", "", IDENTKEYVAL.with_keys("disk-state"), many=True),
)
NEW_SECONDARY = Option(
    ("-n", "--new-secondary"),
    "remote_node",
    "The new secondary node; implies that only secondary instances are evacuated.",
    TEXT,
    metavar="NODE",
)
TIMEOUT = Option(
    ("--oob-timeout",), "timeout", "Timeout of the out-of-band helper, in seconds.", WHOLE_SECONDS
)


def maintenance_fields(arguments: Arguments) -> Document:
    """Return whether the maintenance begins."""
    return {"maintenance": arguments["maintenance"] == "on"}


ADD = Command(
    name="add",
    opcode="OP_NODE_ADD",
    doc="Add a node: show the command to run on it, wait until it joins, and add it.",
    words=NEW_NODE,
    options=(
        Option(
            ("--primary-ip",),
            "primary_ip",
            "The primary address of the node; by default the address of its name.",
            ADDRESS,
        ),
        Option(("--token-only",), "token_only", "Print only the token for the new node."),
        Option(("--joined",), "joined", "The node daemon runs already; do not wait for it."),
        Option(("--port",), "port", "The port of the new node's daemon.", PORT),
        Option(
            ("--witness",),
            "witness",
            "Add a node that only votes: it runs no instances and never becomes master.",
        ),
        Option(("-v", "--verbose"), "verbose", "Accepted for compatibility; has no effect."),
        Option(
            ("--no-node-setup",),
            "no_node_setup",
            "Do not set up the node by SSH; always so here, accepted for compatibility.",
        ),
        Option(
            ("--no-ssh-key-check",),
            "no_ssh_key_check",
            "Accepted for compatibility; has no effect.",
        ),
        Option(("--force-join",), "force_join", "Accepted for compatibility; has no effect."),
    ),
    flags=STATES,
    without=("node_setup",),
    given=actions.new_node_fields,
    run=joining.add,
)

GNT_NODE = tool(
    "gnt-node",
    "Add, show, change and remove nodes.",
    lists(
        Listing(
            what="node",
            columns=(
                *("name", "dtotal", "dfree", "mtotal", "mnode", "mfree"),
                *("pinst_cnt", "sinst_cnt"),
            ),
        ),
        doc="List nodes.",
        watch=True,
        words="node",
        units=True,
        own_defaults=True,
    ),
    tag_commands("node", "node"),
    ADD,
    Command(
        name="info",
        aliases=("show",),
        doc="Show the recorded settings of nodes.",
        words=NODES,
        options=(FORM,),
        run=actions.info,
    ),
    Command(
        name="modify",
        opcode="OP_NODE_SET_PARAMS",
        words=NODE,
        flags=(
            *STATES,
            Option(("-C", "--master-candidate"), "master_candidate", "", BOOL),
            Option(("-D", "--drained"), "drained", "", BOOL),
            Option(("-O", "--offline"), "offline", "", BOOL),
        ),
        given=actions.states,
        ended=actions.show_changes,
    ),
    Command(name="remove", opcode="OP_NODE_REMOVE", words=NODE),
    Command(
        name="evacuate",
        opcode="OP_NODE_EVACUATE",
        words=NODE,
        options=(
            Option(("-p", "--primary-only"), "primary_only", "Evacuate only primary instances."),
            Option(
                ("-s", "--secondary-only"), "secondary_only", "Evacuate only secondary instances."
            ),
        ),
        flags=(NEW_SECONDARY, Option(("--ignore-soft-errors",), "ignore_soft_errors", "")),
        without=("mode",),
        given=actions.evacuation,
        confirm="Evacuate {node_name}?",
        ended=job_polling.follow_submitted_jobs,
    ),
    Command(
        name="migrate",
        opcode="OP_NODE_MIGRATE",
        words=NODE,
        flags=(Option(("--migration-mode",), "mode", "", choice(("live", "non-live"))),),
        confirm="Migrate all primary instances of {node_name}?",
        ended=job_polling.follow_submitted_jobs,
    ),
    Command(
        name="failover",
        doc="Fail over all primary instances of a node to their other nodes.",
        words=NODE,
        options=(
            FORCE,
            Option(
                ("-I", "--iallocator"),
                "iallocator",
                "The instance allocator that selects nodes.",
                TEXT,
            ),
            Option(
                ("--ignore-consistency",),
                "ignore_consistency",
                "Continue even if the disks are not in sync; data may be lost.",
            ),
        ),
        submits=True,
        run=actions.failover,
    ),
    Command(
        name="powercycle",
        opcode="OP_NODE_POWERCYCLE",
        words=NODE,
        options=(Option(("--yes",), "confirmed", "Do not ask for confirmation."),),
        confirm="Power-cycle {node_name} with all its instances?",
        confirmed_by="confirmed",
    ),
    Command(
        name="power",
        doc="Query or switch the power of nodes.",
        words=(Positional("what", "what", choices=("on", "off", "cycle", "status")), *NODES),
        options=(
            FORCE,
            TIMEOUT,
            Option(
                ("--auto-promote",),
                "auto_promote",
                "Promote other nodes to master candidates in place of those that go offline.",
            ),
            Option(
                ("--ignore-status",),
                "ignore_status",
                "Power nodes off without marking them offline first.",
            ),
            Option(
                ("--power-delay",), "power_delay", "Delay between two nodes, in seconds.", SECONDS
            ),
            NO_HEADERS,
            SEPARATOR,
        ),
        submits=True,
        run=power.power,
    ),
    Command(
        name="maintenance",
        opcode="OP_NODE_SET_MAINTENANCE",
        doc="Begin or end the maintenance of a node, during which it is not fenced.",
        words=(Positional("maintenance", "when", choices=("on", "off")), *NODE),
        given=maintenance_fields,
    ),
    Command(
        name="confirm-off",
        opcode="OP_NODE_CONFIRM_OFF",
        words=NODE,
        options=(FORCE,),
        confirm="Is {node_name} powered off? If it still runs, its instances run twice, which"
        " destroys their data.",
    ),
    Command(
        name="health",
        doc="Show the health of nodes as reported by their out-of-band helpers.",
        words=NODES,
        options=(TIMEOUT, NO_HEADERS, SEPARATOR, FORM),
        submits=True,
        job_options=READS,
        run=power.health,
    ),
    Command(
        name="restricted-command",
        doc="Run a restricted command, which the administrator of the nodes allows.",
        words=(Positional("command", "command"), *NODES),
        options=(
            Option(
                ("-g", "--node-group"),
                "group",
                "Run the command on all nodes of this group.",
                TEXT,
                metavar="GROUP",
            ),
            Option(
                ("-M", "--show-machine-names"),
                "named",
                "Prefix each line of output with the name of the node.",
            ),
            Option(("--sync",), "sync", "Wait until no job uses the nodes."),
        ),
        submits=True,
        run=actions.restricted_command,
    ),
    Command(
        name="list-drbd",
        doc="List the DRBD minors of a node and the instances that use them.",
        words=NODE,
        options=(NO_HEADERS, SEPARATOR, FORM),
        run=actions.drbd_minors,
    ),
    Command(
        name="volumes",
        doc="List the logical volumes of nodes.",
        words=NODES,
        options=(NO_HEADERS, SEPARATOR, OUTPUT, UNITS),
        submits=True,
        job_options=READS,
        run=actions.volumes,
    ),
    Command(
        name="list-storage",
        doc="List the storage units of nodes.",
        words=NODES,
        options=(
            NO_HEADERS,
            SEPARATOR,
            OUTPUT,
            UNITS,
            Option(
                ("-t", "--storage-type"),
                "storage_type",
                "The type of storage.",
                choice(("file", "gluster", "lvm-pv", "lvm-vg", "sharedfile")),
            ),
        ),
        submits=True,
        job_options=READS,
        run=actions.storage,
    ),
    Command(
        name="modify-storage",
        opcode="OP_NODE_MODIFY_STORAGE",
        words=(
            *NODE,
            Positional("storage_type", "storage-type", choices=("lvm-pv",)),
            Positional("name", "storage-unit"),
        ),
        options=(
            Option(
                ("--allocatable",),
                "allocatable",
                "Whether new disks may be created on the storage unit.",
                BOOL,
            ),
        ),
        without=("changes",),
        given=actions.storage_change_fields,
    ),
    Command(
        name="repair-storage",
        opcode="OP_REPAIR_NODE_STORAGE",
        words=(
            *NODE,
            Positional("storage_type", "storage-type", choices=("lvm-vg",)),
            Positional("name", "storage-unit"),
        ),
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_NODE)


if __name__ == "__main__":
    main()
