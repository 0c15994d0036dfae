# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the OS definition of an instance on a node."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.operations.operation import NodeQuery
from ganeti.rpc.node import OSDefinitionReport, ValidateOS

VARIANT_DELIMITER = "+"
"""The delimiter between the name of an OS definition and its variant."""


def find_definition(
    os: str, definitions: Sequence[OSDefinitionReport], node: str, *, force_variant: bool
) -> OSDefinitionReport:
    """Return the definition of ``os``, a name with an optional variant, of a node.

    :raises Refused: it does not exist, is invalid, or does not have the variant.
    """
    name, _, variant = os.partition(VARIANT_DELIMITER)
    definition = next((each for each in definitions if each.name == name), None)
    if definition is None:
        known = ", ".join(sorted(each.name for each in definitions if each.valid)) or "none"
        raise Refused(
            f"OS definition {name} does not exist on node {node}; known are: {known}", Code.UNKNOWN
        )
    if not definition.valid:
        raise Refused(
            f"OS definition {name} on node {node} is invalid: {definition.diagnosis}",
            Code.ENVIRONMENT,
        )
    if force_variant:
        return definition
    if definition.variants and not variant:
        raise Refused(
            f"OS definition {name} requires a variant: "
            f"{', '.join(name + VARIANT_DELIMITER + each for each in definition.variants)}",
            Code.INPUT,
        )
    if variant and variant not in definition.variants:
        known = ", ".join(definition.variants) or "none"
        raise Refused(
            f"OS definition {name} has no variant {variant}; known are: {known}; "
            "use --force-variant to use it anyway",
            Code.INPUT,
        )
    return definition


def check_installable(
    guest: Guest,
    definitions: Sequence[OSDefinitionReport],
    node: str,
    cluster: Cluster,
    *,
    force_variant: bool,
) -> None:
    """Check that the OS definition of a guest can be installed on a node.

    The values of OS parameters are checked by the definition's script, see ``make_os_query``.

    :raises Refused: as ``find_definition``, or the OS is blacklisted.
    :raises Invalid: the definition does not declare the guest's OS parameters.
    """
    definition = find_definition(guest.os, definitions, node, force_variant=force_variant)
    if banned := {guest.os, definition.name}.intersection(cluster.blacklisted_os):
        [name, *_] = sorted(banned)
        raise Refused(
            f"OS {name} is blacklisted in this cluster; to allow it: "
            f"gnt-os modify --blacklisted=no {name}"
        )
    if problems := unknown_parameters(definition, guest.osparams, "osparams"):
        raise Invalid(problems)


def unknown_parameters(
    definition: OSDefinitionReport, names: Collection[str], path: str
) -> list[Problem]:
    """Return problems of unknown parameters; a definition that declares none accepts all."""
    if not definition.checks_parameters:
        return []
    known = [name for name, _ in definition.parameters]
    # Names are case-insensitive, as scripts get them in upper case (ganeti-os-interface(7)).
    lower = {name.lower() for name in known}
    message = (
        f"OS definition {definition.name} has no such parameter; known are: "
        f"{', '.join(known) or 'none'}"
    )
    unknown = [name for name in sorted(names) if name.lower() not in lower]
    return [Problem(f"{path}/{name}", message) for name in unknown]


def make_os_query(guest: Guest, node: Node, *, force_variant: bool) -> NodeQuery:
    """Return the query whether the OS definition on ``node`` accepts the guest's parameters."""
    call = ValidateOS(os=guest.os, osparams=guest.osparams, force_variant=force_variant)
    return NodeQuery([node], call)
