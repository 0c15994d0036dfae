# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-node``: the hosts of the cluster."""

from __future__ import annotations

from ganeti.cli.command import FORCE, READS, Command, CommandGroup, tool
from ganeti.cli.gnt_instance.actions import show_jobs
from ganeti.cli.gnt_node import actions
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

NODE = (CommandGroup("node_name", "node"),)
NODES = (CommandGroup("names", "node", 0, None),)

STATES = (
    Option(("--hypervisor-state",), "hv_state", "", IDENTKEYVAL, many=True),
    Option(("--disk-state",), "disk_state", "", IDENTKEYVAL, many=True),
)
NEW_SECONDARY = Option(
    ("-n", "--new-secondary"),
    "remote_node",
    "The node that becomes the new secondary; only second copies leave then.",
    TEXT,
    metavar="NODE",
)
TIMEOUT = Option(
    ("--oob-timeout",), "timeout", "How long the helper may take, in seconds.", WHOLE_SECONDS
)

ADD = Command(
    name="add",
    opcode="OP_NODE_ADD",
    doc="Take a host into the cluster: shows what to run on it, waits for it, and adds it.",
    words=NODE,
    options=(
        Option(
            ("--primary-ip",),
            "primary_ip",
            "The node's address; by default that of its name.",
            ADDRESS,
        ),
        Option(("--token-only",), "token_only", "Print the token for the new node, and no more."),
        Option(("--joined",), "joined", "Its node daemon runs already; do not wait for it."),
        Option(("--port",), "port", "Where its node daemon listens.", PORT),
        Option(
            ("--witness",),
            "witness",
            "It only votes: it runs no instances and never becomes master.",
        ),
        Option(("-v", "--verbose"), "verbose", "Accepted for scripts that say it."),
        Option(("--no-node-setup",), "no_node_setup", "As it is here anyway: nothing by ssh."),
        Option(("--no-ssh-key-check",), "no_ssh_key_check", "Accepted for scripts that say it."),
        Option(("--force-join",), "force_join", "Accepted for scripts that say it."),
    ),
    flags=STATES,
    without=("node_setup",),
    given=actions.new_node,
    run=actions.add,
)

GNT_NODE = tool(
    "gnt-node",
    "Adds, shows, changes and removes the hosts of the cluster.",
    lists(
        Listing(
            what="node",
            columns=(
                *("name", "dtotal", "dfree", "mtotal", "mnode", "mfree"),
                *("pinst_cnt", "sinst_cnt"),
            ),
        ),
        doc="List nodes.",
        words="node",
        units=True,
        own_defaults=True,
    ),
    tag_commands("node", "node"),
    ADD,
    Command(
        name="info",
        aliases=("show",),
        doc="Tell everything that is recorded of nodes.",
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
            Option(("-p", "--primary-only"), "primary_only", "Only those that run on it."),
            Option(("-s", "--secondary-only"), "secondary_only", "Only their second copies."),
        ),
        flags=(NEW_SECONDARY, Option(("--ignore-soft-errors",), "ignore_soft_errors", "")),
        without=("mode",),
        given=actions.evacuation,
        confirm="Evacuate {node_name}?",
        ended=show_jobs,
    ),
    Command(
        name="migrate",
        opcode="OP_NODE_MIGRATE",
        words=NODE,
        flags=(Option(("--migration-mode",), "mode", "", choice(("live", "non-live"))),),
        confirm="Migrate all instances that run on {node_name}?",
        ended=show_jobs,
    ),
    Command(
        name="failover",
        doc="Stop the instances of a node, and start them on others that have their disks.",
        words=NODE,
        options=(
            FORCE,
            Option(("-I", "--iallocator"), "iallocator", "The allocator that chooses nodes.", TEXT),
            Option(
                ("--ignore-consistency",),
                "ignore_consistency",
                "Go ahead even if the disks are not in sync; data may be lost.",
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
        confirm="Restart {node_name} hard, with all that runs on it?",
        confirmed_by="confirmed",
    ),
    Command(
        name="power",
        doc="Ask about or switch the power of nodes.",
        words=(CommandGroup("what", "what", choices=("on", "off", "cycle", "status")), *NODES),
        options=(
            FORCE,
            TIMEOUT,
            Option(
                ("--auto-promote",),
                "auto_promote",
                "Let other nodes become master candidates instead of those that go offline.",
            ),
            Option(
                ("--ignore-status",),
                "ignore_status",
                "Switch nodes off without marking them offline first.",
            ),
            Option(("--power-delay",), "power_delay", "Seconds between two nodes.", SECONDS),
            NO_HEADERS,
            SEPARATOR,
        ),
        submits=True,
        run=actions.power,
    ),
    Command(
        name="health",
        doc="Show what out-of-band helpers say of the health of nodes.",
        words=NODES,
        options=(TIMEOUT, NO_HEADERS, SEPARATOR),
        submits=True,
        job_options=READS,
        run=actions.health,
    ),
    Command(
        name="restricted-command",
        doc="Run a command on nodes that their administrators allow.",
        words=(CommandGroup("command", "command"), *NODES),
        options=(
            Option(("-g", "--node-group"), "group", "On the nodes of this group.", TEXT),
            Option(("-M", "--show-machine-names"), "named", "Begin each line with the node."),
            Option(("--sync",), "sync", "Wait until no job uses the nodes."),
        ),
        submits=True,
        run=actions.restricted_command,
    ),
    Command(
        name="list-drbd",
        doc="List the DRBD minors of a node, with the instances whose disks they are.",
        words=NODE,
        options=(NO_HEADERS, SEPARATOR),
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
                "The kind of storage.",
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
            CommandGroup("storage_type", "storage-type", choices=("lvm-pv",)),
            CommandGroup("name", "storage-unit"),
        ),
        options=(
            Option(("--allocatable",), "allocatable", "Whether new disks may be put there.", BOOL),
        ),
        without=("changes",),
        given=actions.storage_changes,
    ),
    Command(
        name="repair-storage",
        opcode="OP_REPAIR_NODE_STORAGE",
        words=(
            *NODE,
            CommandGroup("storage_type", "storage-type", choices=("lvm-vg",)),
            CommandGroup("name", "storage-unit"),
        ),
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_NODE)


if __name__ == "__main__":
    main()
