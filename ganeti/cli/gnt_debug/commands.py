# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-debug``: inspect and test the internals of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import READS, Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import NO_HEADERS, OUTPUT, SEPARATOR, VERBOSE
from ganeti.cli.options import COUNT, INFERRED, INT, PRIVATE, SECONDS, TEXT, UNIT, Option
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_debug import actions
else:
    actions = LazyModule("ganeti.cli.gnt_debug.actions")

NO_DAEMON = {
    "metad": "there is no metadata daemon; OS scripts provide what guests need",
    "wconfd": "the master daemon writes the configuration; see gnt-cluster history",
}

GNT_DEBUG = tool(
    "gnt-debug",
    "Inspect and test the internals of the cluster.",
    Command(
        name="delay",
        opcode="OP_TEST_DELAY",
        words=(Positional("seconds", "seconds"),),
        flags=(
            Option(("-i", "--interruptible"), "interruptible", ""),
            Option(("-l", "--no-locks"), "no_locks", "Do not lock the nodes."),
            Option(("--no-master",), "on_master", "Do not wait on the master.", sets=False),
            Option(("-n",), "on_nodes", "Wait on this node.", TEXT, many=True, metavar="NODE"),
            Option(("-r", "--repeat"), "repeat", "", INT),
        ),
        without=("duration",),
        given=actions.delay_fields,
    ),
    Command(
        name="locks",
        doc="List the locks that are held or waited for.",
        options=(
            NO_HEADERS,
            SEPARATOR,
            OUTPUT,
            VERBOSE,
            Option(
                ("--interval",), "interval", "Repeat the list after this many seconds.", SECONDS
            ),
        ),
        run=actions.locks,
    ),
    Command(
        name="submit-job",
        doc="Submit the jobs described in files, each a JSON list of opcodes.",
        words=(Positional("files", "file", 1, None),),
        options=(
            Option(("--op-repeat",), "op_repeat", "Repeat each opcode this many times.", COUNT),
            Option(("--job-repeat",), "job_repeat", "Repeat each job this many times.", COUNT),
            Option(("--timing-stats",), "timing_stats", "Show how long the jobs took."),
            Option(("--each",), "each", "Submit the jobs one by one instead of all at once."),
            Option(
                ("-v", "--verbose"),
                "verbose",
                "Accepted for compatibility; the progress of each job is always shown.",
            ),
        ),
        submits=True,
        run=actions.submit_job,
    ),
    Command(
        name="test-jobqueue",
        doc="Test the job queue with jobs that do nothing.",
        submits=True,
        job_options=READS,
        run=actions.test_queue,
    ),
    Command(
        name="iallocator",
        aliases=("allocator",),
        opcode="OP_TEST_ALLOCATOR",
        words=(Positional("names", "name", 1, None),),
        options=(
            Option(
                ("--disks",),
                "disks",
                "The sizes of the instance's disks, separated by commas.",
                TEXT,
            ),
            Option(
                ("--nics",),
                "nics",
                "The instance's network cards, separated by commas: MAC/IP/BRIDGE.",
                TEXT,
            ),
        ),
        flags=(
            Option(("--dir",), "direction", "", INFERRED),
            Option(("--memory",), "memory", "", UNIT),
            Option(("-m", "--mode"), "mode", "", INFERRED),
            Option(("-o", "--os-type"), "os", "", TEXT, metavar="OS[+VARIANT]"),
            Option(("-p", "--vcpus"), "vcpus", "", INT),
            Option(("--target-groups",), "target_groups", "", TEXT, many=True, metavar="GROUP"),
        ),
        without=("name", "instances", "hypervisor", "group_name"),
        given=actions.allocator_fields,
        run=actions.allocator,
    ),
    Command(
        name="test-osparams",
        opcode="OP_TEST_OS_PARAMS",
        flags=(Option(("--os-parameters-secret",), "osparams_secret", "", PRIVATE),),
        unsupported="it tests Ganeti code; use gnt-instance add --dry-run to check OS parameters",
    ),
    *(
        Command(name=name, words=(Positional("what", "what", 1, None),), unsupported=reason)
        for name, reason in NO_DAEMON.items()
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_DEBUG)


if __name__ == "__main__":
    main()
