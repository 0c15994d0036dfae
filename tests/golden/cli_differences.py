# SPDX-License-Identifier: BSD-2-Clause
"""Where our command-line tools differ from Ganeti's on purpose, and why.

``tests.golden.test_cli`` holds the tools to it, and ``doc/differences.md`` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

NO_SSH = "nodes are reached through their daemons only, never by ssh"
LATER = "its requests are not carried out yet"
MISSING_COMMANDS = {
    "gnt-cluster command": NO_SSH,
    "gnt-cluster copyfile": NO_SSH,
    "gnt-cluster epo": LATER,
    "gnt-cluster show-ispecs-cmd": "gnt-cluster info --output json has the policy",
    "gnt-cluster upgrade": "packages are upgraded by the host's own means",
    "gnt-debug metad": "there is no daemon of this kind",
    "gnt-debug wconfd": "there is no daemon of this kind",
    "gnt-group show-ispecs-cmd": "gnt-group info --output json has the policy",
    "gnt-node list-drbd": LATER,
}
OLD_SPECS = "the older form of --ipolicy-bounds-specs and --ipolicy-std-specs"
MISSING_OPTIONS = {
    **{
        f"gnt-cluster init --specs-{what}": OLD_SPECS
        for what in ("cpu-count", "disk-count", "disk-size", "mem-size", "nic-count")
    },
    **{
        f"{command} --roman": "numbers are for people and programs alike"
        for command in ("gnt-cluster info", "gnt-instance info")
    },
    "gnt-cluster master-failover --ignore-offline-nodes": "nodes that are offline never vote",
    "gnt-cluster renew-crypto --new-cluster-certificate": "nodes have certificates of their own",
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
        ("Options that are not there", "option | why", MISSING_OPTIONS),
        ("What commands print", "command | here", OUTPUT),
    ):
        yield from (f"## {title}\n", f"| {of_what} |", "|---|---|")
        yield from (f"| `{name}` | {_sentence(text)} |" for name, text in texts.items())
        yield ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."
