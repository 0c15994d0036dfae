# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-debug``: looks inside the cluster's machinery, and tries it out."""

from __future__ import annotations

from ganeti.cli.command import READS, Command, CommandGroup, tool
from ganeti.cli.gnt_debug import actions
from ganeti.cli.listing import NO_HEADERS, OUTPUT, SEPARATOR, VERBOSE
from ganeti.cli.options import COUNT, INFERRED, INT, PRIVATE, SECONDS, TEXT, UNIT, Option
from ganeti.cli.program import run_tool

NO_DAEMON = {
    "metad": "there is no metadata daemon; guests get what they need from their OS scripts",
    "wconfd": "the master daemon itself writes the configuration; see gnt-cluster history",
}

GNT_DEBUG = tool(
    "gnt-debug",
    "Looks inside the cluster's machinery, and tries it out.",
    Command(
        name="delay",
        opcode="OP_TEST_DELAY",
        words=(CommandGroup("seconds", "seconds"),),
        flags=(
            Option(("-i", "--interruptible"), "interruptible", ""),
            Option(("-l", "--no-locks"), "no_locks", "Take no locks on the nodes."),
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
            Option(("--interval",), "interval", "Show them again after so many seconds.", SECONDS),
        ),
        run=actions.locks,
    ),
    Command(
        name="submit-job",
        doc="Submit jobs that files describe: JSON, a list of opcodes in each.",
        words=(CommandGroup("files", "file", 1, None),),
        options=(
            Option(("--op-repeat",), "op_repeat", "Every opcode so many times.", COUNT),
            Option(("--job-repeat",), "job_repeat", "Every job so many times.", COUNT),
            Option(("--timing-stats",), "timing_stats", "Tell how long it took."),
            Option(("--each",), "each", "Submit the jobs one by one and not all at once."),
            Option(("-v", "--verbose"), "verbose", "Accepted; how each job goes is shown."),
        ),
        submits=True,
        run=actions.submit_job,
    ),
    Command(
        name="test-jobqueue",
        doc="Try out the job queue with jobs that do nothing.",
        submits=True,
        job_options=READS,
        run=actions.test_queue,
    ),
    Command(
        name="iallocator",
        aliases=("allocator",),
        opcode="OP_TEST_ALLOCATOR",
        words=(CommandGroup("names", "name", 1, None),),
        options=(
            Option(("--disks",), "disks", "The sizes of its disks, between commas.", TEXT),
            Option(("--nics",), "nics", "Its cards, between commas: MAC/IP/BRIDGE.", TEXT),
        ),
        flags=(
            Option(("--dir",), "direction", "", INFERRED),
            Option(("--memory",), "memory", "", UNIT),
            Option(("-m", "--mode"), "mode", "", INFERRED),
            Option(("-o", "--os-type"), "os", "", TEXT, metavar="OS"),
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
        unsupported="it tests code of Ganeti; gnt-instance add --dry-run checks OS parameters",
    ),
    *(
        Command(name=name, words=(CommandGroup("what", "what", 1, None),), unsupported=reason)
        for name, reason in NO_DAEMON.items()
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_DEBUG)


if __name__ == "__main__":
    main()
