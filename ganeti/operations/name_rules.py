# SPDX-License-Identifier: BSD-2-Clause
"""Checks of new names and addresses."""

from __future__ import annotations

import ipaddress

from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.node import Node


def check_label(text: str, path: str) -> None:
    """Check the new name of a group or network, which appears in lists, text files and URLs.

    :raises Invalid: the name has characters that cannot be used there.
    """
    if not text.isprintable() or "/" in text or text != text.strip():
        rule = "must be printable, without slashes and without leading or trailing spaces"
        raise Invalid([Problem(path, rule)])


def require_own_name(kind: RecordKind, name: str, state: ClusterState) -> None:
    """Refuse a name that an object of another kind has: the DNS has one host of each name.

    :raises Refused: the cluster, a node or an instance has the name, and is not of this ``kind``.
    """
    owners = {
        RecordKind.CLUSTER: "the cluster" if name == state.cluster.cluster_name else None,
        RecordKind.NODE: "a node" if state.knows(RecordKind.NODE, name) else None,
        RecordKind.INSTANCE: "an instance" if state.knows(RecordKind.INSTANCE, name) else None,
    }
    for other, owner in owners.items():
        if owner is not None and other is not kind:
            raise Refused(
                f"{name} is the name of {owner}; choose another name for the {kind.value}",
                Code.NOT_UNIQUE,
            )


def require_node_addresses(node: Node, state: ClusterState) -> None:
    """Refuse addresses of a node that another node has.

    :raises Refused: each address is of one node.
    """
    for other in state.nodes.values():
        if other.name == node.name:
            continue
        theirs = (other.primary_ip, other.secondary_ip)
        for address in (node.primary_ip, node.secondary_ip):
            if address in theirs:
                raise Refused(f"address {address} is in use by node {other.name}", Code.NOT_UNIQUE)


def check_address(text: str | None, path: str) -> None:
    """Check an IP address; None is accepted.

    :raises Invalid: it is not an IP address.
    """
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise Invalid([Problem(path, f"{text} is not an IP address such as 192.0.2.1")]) from None
