# SPDX-License-Identifier: BSD-2-Clause
"""The options of instance policies, common to clusters and node groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.cli.command import Arguments, Document
from ganeti.cli.options import KEYVAL, LIMITS, LIST, MAYBE_FLOAT, Option, whole
from ganeti.cli.output import Fields
from ganeti.cli.session import FAILURE, ExitTool
from ganeti.errors import Invalid
from ganeti.schema.size_units import mebibytes

DEFAULT = "default"

BOUNDS = Option(
    ("--ipolicy-bounds-specs",),
    "ipolicy_bounds",
    "The limits of an instance, minimum and maximum: cpu-count, disk-count, disk-size,"
    " memory-size, nic-count and spindle-use; alternatives are separated by //. The word default"
    " resets them.",
    LIMITS,
)
STANDARD = Option(
    ("--ipolicy-std-specs",),
    "ipolicy_std",
    "The specs of a standard instance, or some of them; capacity is computed with these.",
    KEYVAL.with_keys("specs"),
)
TEMPLATES = Option(
    ("--ipolicy-disk-templates",), "ipolicy_templates", "The allowed disk templates.", LIST
)
SPINDLE_RATIO = Option(
    ("--ipolicy-spindle-ratio",),
    "ipolicy_spindles",
    "The maximum number of used spindles per spindle of a node.",
    MAYBE_FLOAT,
)
VCPU_RATIO = Option(
    ("--ipolicy-vcpu-ratio",),
    "ipolicy_vcpus",
    "The maximum number of virtual processors per processor of a node.",
    MAYBE_FLOAT,
)
SPECS = {
    spec: Option(
        (f"--specs-{spec.replace('memory', 'mem')}",),
        f"ispecs_{spec}",
        f"The older form of {BOUNDS.flags[0]} and {STANDARD.flags[0]}: min, max and std of this"
        " spec.",
        KEYVAL,
    )
    for spec in ("cpu-count", "disk-count", "disk-size", "memory-size", "nic-count")
}
GROUP_OPTIONS = (BOUNDS, TEMPLATES, SPINDLE_RATIO, VCPU_RATIO)
CLUSTER_OPTIONS = (*GROUP_OPTIONS, STANDARD)

_SIZES = frozenset({"disk-size", "memory-size"})
_PARTS: Mapping[str, tuple[str, object]] = {
    "disk-templates": ("ipolicy_templates", [DEFAULT]),
    "minmax": ("ipolicy_bounds", [{DEFAULT: {}}]),
    "spindle-ratio": ("ipolicy_spindles", DEFAULT),
    "std": ("ipolicy_std", {DEFAULT: True}),
    "vcpu-ratio": ("ipolicy_vcpus", DEFAULT),
}
"""The option for each part of a policy, and its value if only the word ``default`` is given."""


def policy(arguments: Arguments) -> Document:
    """Return the parts of a policy that were given; empty if none were.

    The word ``default`` in place of a value, or of all values, resets it.

    :raises ExitTool: if a value is malformed.
    """
    found: Document = {
        name: DEFAULT if arguments[key] == reset else arguments[key]
        for name, (key, reset) in _PARTS.items()
        if key in arguments
    }
    if isinstance(found.get("minmax"), list):
        found["minmax"] = [
            {name: _parse_specs(specs) for name, specs in each.items()} for each in found["minmax"]
        ]
    if isinstance(found.get("std"), dict):
        found["std"] = _parse_specs(found["std"])
    return found


def format_options(limits: Fields, *, standard: bool) -> Iterator[str]:
    """Yield the options that set the specs of a policy, as words of a command line."""
    if standard and limits.get("std"):
        yield f"{STANDARD.flags[0]}={_format_specs(limits['std'])}"
    if limits.get("minmax"):
        alternatives = (
            f"min:{_format_specs(each['min'])}/max:{_format_specs(each['max'])}"
            for each in limits["minmax"]
        )
        yield f"{BOUNDS.flags[0]}={'//'.join(alternatives)}"


def _format_specs(specs: Mapping[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(specs.items()))


def older(arguments: Arguments) -> Document:
    """Return the specs that were given in the older form, one option for each spec.

    :raises ExitTool: if a value is malformed, or both forms are given.
    """
    found: dict[str, dict[str, int | str]] = {}
    for spec, option in SPECS.items():
        given = arguments.get(option.name) or {}
        if unknown := set(given) - {"min", "max", "std"}:
            raise ExitTool(FAILURE, f"{option.flags[0]} {unknown.pop()}: must be min, max or std")
        for bound, text in given.items():
            found.setdefault(bound, {}).update(_parse_specs({spec: text}))
    if found and (BOUNDS.name in arguments or STANDARD.name in arguments):
        raise ExitTool(
            FAILURE,
            f"the --specs options cannot be combined with {BOUNDS.flags[0]} and"
            f" {STANDARD.flags[0]}",
        )
    return found


def _parse_specs(given: Fields | None) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for name, text in (given or {}).items():
        if text == DEFAULT:
            found[name] = DEFAULT
            continue
        if not isinstance(text, str):  # has no value
            raise ExitTool(FAILURE, f"{name} needs a value, as in {name}=1")
        try:
            found[name] = mebibytes(text) if name in _SIZES else whole(text)
        except (Invalid, ValueError) as e:
            raise ExitTool(FAILURE, f"{name}={text}: {e}") from None
    return found
