# SPDX-License-Identifier: BSD-2-Clause
"""The options of instance policies, which the cluster and its groups have alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.cli.command import Arguments
from ganeti.cli.options import KEYVAL, LIMITS, LIST, MAYBE_FLOAT, Option
from ganeti.cli.session import FAILURE, Ended
from ganeti.errors import Invalid
from ganeti.schema.units import mebibytes

BOUNDS = Option(
    ("--ipolicy-bounds-specs",),
    "ipolicy_bounds",
    "The least and the most that an instance may have: cpu-count, disk-count, disk-size,"
    " memory-size, nic-count and spindle-use of each; alternatives are joined by //.",
    LIMITS,
)
STANDARD = Option(
    ("--ipolicy-std-specs",),
    "ipolicy_std",
    "What a usual instance has; capacity is counted in these.",
    KEYVAL,
)
TEMPLATES = Option(
    ("--ipolicy-disk-templates",), "ipolicy_templates", "The disk templates that are allowed.", LIST
)
SPINDLE_RATIO = Option(
    ("--ipolicy-spindle-ratio",),
    "ipolicy_spindles",
    "How many spindles in use there may be per spindle of a node.",
    MAYBE_FLOAT,
)
VCPU_RATIO = Option(
    ("--ipolicy-vcpu-ratio",),
    "ipolicy_vcpus",
    "How many virtual processors there may be per processor of a node.",
    MAYBE_FLOAT,
)
OF_GROUPS = (BOUNDS, TEMPLATES, SPINDLE_RATIO, VCPU_RATIO)
OF_CLUSTERS = (*OF_GROUPS, STANDARD)

_SIZES = frozenset({"disk-size", "memory-size"})
_DIRECT = {
    "disk-templates": "ipolicy_templates",
    "spindle-ratio": "ipolicy_spindles",
    "vcpu-ratio": "ipolicy_vcpus",
}


def policy(arguments: Arguments) -> dict[str, Any]:
    """What was given of a policy; empty if nothing was.

    :raises Ended: a size is none.
    """
    found = {name: arguments[key] for name, key in _DIRECT.items() if key in arguments}
    if "ipolicy_bounds" in arguments:
        found["minmax"] = [
            {name: _specs(specs) for name, specs in each.items()}
            for each in arguments["ipolicy_bounds"]
        ]
    if "ipolicy_std" in arguments:
        found["std"] = _specs(arguments["ipolicy_std"])
    return found


def _specs(given: Mapping[str, Any] | None) -> dict[str, int]:
    found = {}
    for name, text in (given or {}).items():
        try:
            found[name] = mebibytes(str(text)) if name in _SIZES else int(text)
        except (Invalid, ValueError) as e:
            raise Ended(FAILURE, f"{name}={text}: {e}") from None
    return found
