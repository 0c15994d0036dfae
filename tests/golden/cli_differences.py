# SPDX-License-Identifier: BSD-2-Clause
"""Where our command-line tools differ from Ganeti's on purpose, and why.

``tests.golden.test_cli`` holds the tools to it, and ``doc/differences.md`` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

NO_SSH = "nodes are reached through their daemons only, never by ssh"
MISSING_COMMANDS = {
    "gnt-debug metad": "there is no daemon of this kind",
    "gnt-debug wconfd": "there is no daemon of this kind",
}
MISSING_OPTIONS = {
    "gnt-cluster master-failover --ignore-offline-nodes": (
        "it takes no value and changes nothing: nodes that are offline never vote"
    ),
    "gnt-cluster renew-crypto --new-confd-hmac-key": "there is no daemon of this kind",
    **{
        f"gnt-cluster renew-crypto --{what}": "consoles are not served by SPICE"
        for what in ("new-spice-certificate", "spice-ca-certificate", "spice-certificate")
    },
    **{
        f"gnt-cluster renew-crypto --{what}": NO_SSH
        for what in ("new-ssh-keys", "no-ssh-key-check", "ssh-key-bits", "ssh-key-type")
    },
    **{
        f"gnt-cluster renew-crypto {flag}": "the job tells all that is done"
        for flag in ("-v", "--verbose")
    },
}

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
    for title, of_what, texts in (
        ("Commands that are not there", "command | why", MISSING_COMMANDS),
        ("Options that differ or are not there", "option | why", MISSING_OPTIONS),
        ("What is refused", "command | why", REFUSED),
        ("What commands print", "command | here", OUTPUT),
    ):
        yield from (f"## {title}\n", f"| {of_what} |", "|---|---|")
        yield from (f"| `{name}` | {_sentence(text)} |" for name, text in texts.items())
        yield ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."
