# SPDX-License-Identifier: BSD-2-Clause
"""Host names: the one form in which names of instances, nodes and the cluster are kept.

The DNS does not tell cases apart, and a dot at the end only says that a name is complete
(RFC 1034, section 3.1), so that each of them would be another name for the same host.
"""

from __future__ import annotations

import re

RULE = (
    "must be letters, digits, dashes and underscores, in parts with a dot between them, as in a "
    "host name"
)
"""What ``is_host_name`` asks for, in words."""

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*", re.ASCII)


def normalized(name: str) -> str:
    """Return the form of ``name`` that is kept: in lower case, and without a dot at its end."""
    return name.lower().removesuffix(".")


def is_host_name(name: str) -> bool:
    """Return whether ``name``, normalized, can name an instance, a node or the cluster."""
    return _NAME.fullmatch(name) is not None
