# SPDX-License-Identifier: BSD-2-Clause
"""Whether an OS definition will do for an instance on a node."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.operations.operation import NodeQuery
from ganeti.rpc.node import OSDefinitionReport, ValidateOS

DELIMITER = "+"
"""Between the name of an OS definition and its variant."""


def require_os(
    os: str, definitions: Sequence[OSDefinitionReport], node: str, *, force_variant: bool
) -> OSDefinitionReport:
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


def require_installable(
    guest: Guest,
    definitions: Sequence[OSDefinitionReport],
    node: str,
    cluster: Cluster,
    *,
    force_variant: bool,
) -> None:
    """Refuse a guest that the definition of its OS on a node is not for.

    Whether the values of its OS parameters will do is for the definition's script to say, see
    ``os_question``.

    :raises Refused: as ``require_os``, or the OS must not be used.
    :raises Invalid: the definition does not have the guest's OS parameters.
    """
    definition = require_os(guest.os, definitions, node, force_variant=force_variant)
    if banned := {guest.os, definition.name}.intersection(cluster.blacklisted_os):
        [name, *_] = sorted(banned)
        raise Refused(
            f"the OS {name} is blacklisted in this cluster; to allow it: "
            f"gnt-os modify --blacklisted=no {name}"
        )
    if problems := unknown_parameters(definition, guest.osparams, "osparams"):
        raise Invalid(problems)


def unknown_parameters(
    definition: OSDefinitionReport, names: Collection[str], path: str
) -> list[Problem]:
    """Return what is wrong with the names of parameters; one that lists none takes all."""
    if not definition.checks_parameters:
        return []
    known = [name for name, _ in definition.parameters]
    # Scripts see them in capitals, so that cases are not told apart.
    lower = {name.lower() for name in known}
    message = (
        f"the OS definition {definition.name} has no such parameter; it has: "
        f"{', '.join(known) or 'none'}"
    )
    unknown = [name for name in sorted(names) if name.lower() not in lower]
    return [Problem(f"{path}/{name}", message) for name in unknown]


def os_question(guest: Guest, node: Node, *, force_variant: bool) -> NodeQuery:
    """Return the question whether the OS definition on ``node`` accepts the guest's parameters."""
    call = ValidateOS(os=guest.os, osparams=guest.osparams, force_variant=force_variant)
    return NodeQuery([node], call)
