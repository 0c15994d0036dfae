# SPDX-License-Identifier: BSD-2-Clause
"""Host names: the normalized form of the names of instances, nodes and the cluster.

DNS names are case-insensitive, and a trailing dot only marks a name as complete (RFC 1034, section
3.1), so that variants of a name would denote the same host.
"""

from __future__ import annotations

import re

RULE = (
    "must be letters, digits, dashes and underscores, in parts with a dot between them, as in a "
    "host name"
)
"""The rule of ``is_host_name`` in words."""

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*", re.ASCII)


def normalize(name: str) -> str:
    """Return the normalized form of ``name``: in lower case, without a trailing dot."""
    return name.lower().removesuffix(".")


def is_host_name(name: str) -> bool:
    """Return whether the normalized ``name`` can be that of an instance, a node or the cluster."""
    return _NAME.fullmatch(name) is not None
