# SPDX-License-Identifier: BSD-2-Clause
"""Intended differences between our command-line tools and Ganeti's, with their reasons.

``tests.golden.test_cli`` compares the tools with this, and ``doc/differences.md`` and
``doc/commands.md`` show it. Reasons in the declarations themselves (``unsupported``, a parameter
with *instead*) are not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MISSING_COMMANDS: Mapping[str, str] = {}
"""Commands that are not known even by name."""

MISSING_OPTIONS: Mapping[str, str] = {
    "gnt-cluster master-failover --ignore-offline-nodes": (
        "it has no value and no effect: nodes that are marked offline never vote"
    ),
}
"""Options that do not exist, or have another value."""

REFUSED: Mapping[str, str] = {
    "gnt-instance modify --new-primary": "use move, migrate or failover to change the primary node",
    "gnt-instance modify --disk N:attach, N:detach": "disks cannot be attached or detached yet",
}
"""Options and commands that exist and are rejected intentionally."""

_AT_ONCE = "the answer needs no job"
_NO_SSH = "nodes join by a token and certificates; SSH is not used"

_KEPT = "SSH is not used; the value is only stored"

NO_EFFECT: Mapping[str, str] = {
    "gnt-backup export -f": "there is no confirmation",
    "gnt-cluster init --no-etc-hosts": "each node resolves names by its system configuration",
    "gnt-cluster init --no-ssh-init": "SSH is not used",
    "gnt-cluster init --ssh-key-bits": _KEPT,
    "gnt-cluster init --ssh-key-type": _KEPT,
    "gnt-cluster modify --max-tracked-jobs": "all jobs are tracked",
    "gnt-cluster renew-crypto --no-ssh-key-check": "SSH is not used",
    "gnt-cluster renew-crypto -v": "the job's log has all details",
    "gnt-cluster upgrade --resume": "an upgrade always goes on where it was interrupted",
    "gnt-cluster verify -v": "the report has all details",
    "gnt-debug submit-job -v": "the progress of each job is always shown",
    "gnt-instance move --ignore-consistency": "disks are copied only while the guest is stopped",
    "gnt-node add --force-join": _NO_SSH,
    "gnt-node add --no-node-setup": _NO_SSH,
    "gnt-node add --no-ssh-key-check": _NO_SSH,
    "gnt-node add -v": "the command always shows all steps",
    "gnt-os diagnose --priority": _AT_ONCE,
    "gnt-os info --priority": _AT_ONCE,
    "gnt-os list --priority": _AT_ONCE,
    "gnt-storage diagnose --priority": _AT_ONCE,
    "gnt-storage info --priority": _AT_ONCE,
}
"""Options that are accepted for existing scripts, without effect; by their first flag."""

OUTPUT: Mapping[str, str] = {
    "gnt-* info, gnt-os diagnose, gnt-cluster version, --dry-run": (
        "YAML for all objects, as Ganeti prints it for instances, nodes, jobs and the cluster;"
        " --output json prints the same as JSON. None, empty texts and empty lists are blank;"
        " truth values are True and False; texts that YAML would parse as another type, such as"
        " the MAC address 52:54:00:12:34:56, are quoted."
    ),
    "gnt-network info": (
        "A list of networks in YAML. The usage map has a line for every 64 addresses; repeated"
        " lines are shown once, with the first and the last address of the range."
    ),
    "gnt-os info, gnt-os diagnose": (
        "A mapping by the name of the definition; diagnose lists the directories of each node."
    ),
    "gnt-job info": (
        "The times of an opcode are Lock acquire start, Processing start and Processing end; the"
        " log has a line for each message."
    ),
}
"""Differences in the output of commands, as far as scripts may parse it."""


def tables() -> Iterator[str]:
    """Yield the lines of the tables for operators."""
    yield "All commands of Ganeti's tools with their options are in [commands.md](commands.md).\n"
    for title, of_what, texts in (
        ("Options that differ", "option | why", MISSING_OPTIONS),
        ("Rejected", "command | why", REFUSED),
        ("What commands print", "command | here", OUTPUT),
    ):
        yield from (f"## {title}\n", f"| {of_what} |", "|---|---|")
        yield from (f"| `{name}` | {sentence(text)} |" for name, text in texts.items())
        yield ""


def sentence(text: str) -> str:
    """Return the text as a sentence."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
