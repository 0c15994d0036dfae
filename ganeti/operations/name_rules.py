# SPDX-License-Identifier: BSD-2-Clause
"""What new names and addresses may look like: they go into lists, files and paths."""

from __future__ import annotations

import ipaddress

from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.node import Node


def require_label(text: str, path: str) -> None:
    """Refuse a new name of a group or network that would break lists, files of lines, or URLs.

    :raises Invalid: it would.
    """
    if not text.isprintable() or "/" in text or text != text.strip():
        rule = "must be printable, without slashes, and without spaces at its ends"
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
            article = "an" if kind is RecordKind.INSTANCE else "a"
            raise Refused(
                f"{name} is the name of {owner}, and {article} {kind.value} has a name of its own",
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
                raise Refused(
                    f"node {other.name} has the address {address} already", Code.NOT_UNIQUE
                )


def require_address(text: str | None, path: str) -> None:
    """Refuse what is given and is no address.

    :raises Invalid: it is none.
    """
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise Invalid([Problem(path, f"{text} is not an address such as 192.0.2.1")]) from None
