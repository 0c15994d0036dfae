# SPDX-License-Identifier: BSD-2-Clause
"""Where our command-line tools differ from Ganeti's on purpose, and why.

``tests.golden.test_cli`` holds the tools to it, and ``doc/differences.md`` and ``doc/commands.md``
show it. What a declaration says itself (``unsupported``, a parameter with *instead*) is not
repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MISSING_COMMANDS: Mapping[str, str] = {}
"""Commands that are not even known by name."""

MISSING_OPTIONS: Mapping[str, str] = {
    "gnt-cluster master-failover --ignore-offline-nodes": (
        "it takes no value and changes nothing: nodes that are offline never vote"
    ),
}
"""Options that are not there, or take something else."""

REFUSED: Mapping[str, str] = {
    "gnt-cluster upgrade": (
        "packages are upgraded by the host's own means, and the master daemon converts the "
        "configuration when it starts; the command says so"
    ),
    "gnt-instance modify -t": (
        "disks are not converted yet; an export can be imported with another template"
    ),
    "gnt-instance modify --new-primary": "the primary node follows from a move or a failover",
    "gnt-instance modify -m": "the memory of a running guest is not changed yet",
    "gnt-instance modify --disk N:attach, N:detach": "disks do not change their instance yet",
    "gnt-instance modify --hotplug": (
        "running guests are not changed yet; --hotplug-if-possible says that the change holds from"
        " the next start"
    ),
}
"""What is there and refuses what is asked for, on purpose."""

_AT_ONCE = "the question is answered at once, without a job"
_NO_SSH = "nodes join by a token and certificates, and nothing is done by ssh"

_FOR_SCRIPTS = "it is recorded for scripts of the master's host, which find it in ssconf"
_KEPT = "ssh is not used; the value is recorded"

NO_EFFECT: Mapping[str, str] = {
    "gnt-backup export -f": "nothing is asked",
    "gnt-cluster init --master-netdev": _FOR_SCRIPTS,
    "gnt-cluster init --master-netmask": _FOR_SCRIPTS,
    "gnt-cluster init --no-etc-hosts": "names are looked up as the system of each node does it",
    "gnt-cluster init --no-ssh-init": "ssh is not used",
    "gnt-cluster init --ssh-key-bits": _KEPT,
    "gnt-cluster init --ssh-key-type": _KEPT,
    "gnt-cluster modify --master-netdev": _FOR_SCRIPTS,
    "gnt-cluster modify --master-netmask": _FOR_SCRIPTS,
    "gnt-cluster modify --max-tracked-jobs": "every job is watched",
    "gnt-cluster renew-crypto --no-ssh-key-check": "ssh is not used",
    "gnt-cluster renew-crypto -v": "the job's log has everything",
    "gnt-cluster verify -v": "the report has everything",
    "gnt-debug submit-job -v": "how each job goes is shown",
    "gnt-instance move --ignore-consistency": "disks are copied only of a stopped guest",
    "gnt-node add --force-join": _NO_SSH,
    "gnt-node add --no-node-setup": _NO_SSH,
    "gnt-node add --no-ssh-key-check": _NO_SSH,
    "gnt-node add -v": "the command shows every step anyway",
    "gnt-os diagnose --priority": _AT_ONCE,
    "gnt-os info --priority": _AT_ONCE,
    "gnt-os list --priority": _AT_ONCE,
    "gnt-storage diagnose --priority": _AT_ONCE,
    "gnt-storage info --priority": _AT_ONCE,
}
"""Options that are accepted because scripts give them, and change nothing; by their first flag."""

OUTPUT: Mapping[str, str] = {
    "gnt-* info, gnt-os diagnose, gnt-cluster version, --dry-run": (
        "YAML for every object, as Ganeti prints it for instances, nodes, jobs and the cluster; "
        "--output json has the same as JSON. Nothing (Ganeti: None), an empty text and an empty "
        "list are blank; truth values are True and False; text that YAML would read as something "
        "else, such as the MAC address 52:54:00:12:34:56, is quoted."
    ),
    "gnt-network info": (
        "A list of networks in YAML. The usage map has a line for 64 addresses, and lines that "
        "repeat come once, under the first and the last address that they stand for."
    ),
    "gnt-os info, gnt-os diagnose": (
        "A mapping by the name of the definition; diagnose has the places below each node."
    ),
    "gnt-job info": (
        "The times of an opcode are Lock acquire start, Processing start and Processing end; the "
        "log has a line for each message."
    ),
}
"""What commands print otherwise than Ganeti's, as far as scripts may read it."""


def tables() -> Iterator[str]:
    """Return the lines of the tables for operators."""
    yield "All commands of Ganeti's tools, option by option, are in [commands.md](commands.md).\n"
    for title, of_what, texts in (
        ("Options that differ", "option | why", MISSING_OPTIONS),
        ("What is refused", "command | why", REFUSED),
        ("What commands print", "command | here", OUTPUT),
    ):
        yield from (f"## {title}\n", f"| {of_what} |", "|---|---|")
        yield from (f"| `{name}` | {sentence(text)} |" for name, text in texts.items())
        yield ""


def sentence(text: str) -> str:
    """Return the text as a sentence."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
