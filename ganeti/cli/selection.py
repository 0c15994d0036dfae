# SPDX-License-Identifier: BSD-2-Clause
"""The selection of instances for commands that take many: by names, nodes or tags."""

from __future__ import annotations

from ganeti.cli.options import Option

NAMED = "instances"
ALL_INSTANCES = "cluster"

FORCE_MULTIPLE = Option(
    ("--force-multiple",),
    "force_multiple",
    "Do not ask for confirmation before acting on several instances.",
)


def _mode_option(flag: str, mode: str, doc: str, selects: str = "") -> Option:
    return Option((flag,), "mode", doc, sets=mode, selects=selects)


SELECTION_OPTIONS = (
    FORCE_MULTIPLE,
    _mode_option("--instance", NAMED, "The arguments are instances; this is the default."),
    _mode_option("--all", ALL_INSTANCES, "Select all instances of the cluster."),
    _mode_option(
        "--node",
        "nodes",
        "The arguments are nodes; select their primary and secondary instances.",
        "node",
    ),
    _mode_option(
        "--primary", "nodes-pri", "The arguments are nodes; select their primary instances.", "node"
    ),
    _mode_option(
        "--secondary",
        "nodes-sec",
        "The arguments are nodes; select their secondary instances.",
        "node",
    ),
    _mode_option(
        "--tags", "instances-by-tags", "The arguments are tags of instances.", "tag of instance"
    ),
    _mode_option(
        "--node-tags",
        "nodes-by-tags",
        "The arguments are tags of nodes; select as with --node.",
        "tag of node",
    ),
    _mode_option(
        "--pri-node-tags",
        "nodes-pri-by-tags",
        "The arguments are tags of nodes; select as with --primary.",
        "tag of node",
    ),
    _mode_option(
        "--sec-node-tags",
        "nodes-sec-by-tags",
        "The arguments are tags of nodes; select as with --secondary.",
        "tag of node",
    ),
)
