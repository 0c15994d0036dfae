# SPDX-License-Identifier: BSD-2-Clause
"""Whether an OS definition will do for an instance on a node."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import Code, Refused
from ganeti.rpc.node import OSDefinition

DELIMITER = "+"
"""Between the name of an OS definition and its variant."""


def require_os(
    os: str, definitions: Sequence[OSDefinition], node: str, *, force_variant: bool
) -> OSDefinition:
    """The definition of ``os``, a name with or without a variant, among those of a node.

    :raises Refused: it is not there, is broken, or does not have the variant.
    """
    name, _, variant = os.partition(DELIMITER)
    definition = next((each for each in definitions if each.name == name), None)
    if definition is None:
        known = ", ".join(sorted(each.name for each in definitions if each.valid)) or "none"
        raise Refused(f"node {node} has no OS definition {name}; it has: {known}", Code.UNKNOWN)
    if not definition.valid:
        raise Refused(
            f"the OS definition {name} on node {node} is broken: {definition.diagnosis}",
            Code.ENVIRONMENT,
        )
    if force_variant:
        return definition
    if definition.variants and not variant:
        raise Refused(
            f"the OS definition {name} needs a variant: "
            f"{', '.join(name + DELIMITER + each for each in definition.variants)}",
            Code.INPUT,
        )
    if variant and variant not in definition.variants:
        known = ", ".join(definition.variants) or "none"
        raise Refused(
            f"the OS definition {name} has no variant {variant}; it has: {known}; "
            "use --force-variant to have it anyway",
            Code.INPUT,
        )
    return definition
