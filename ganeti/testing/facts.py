# SPDX-License-Identifier: BSD-2-Clause
"""What nodes say of themselves, for tests that care for little of it."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.model.guest import GuestState
from ganeti.rpc.node import NodeInfo, OSDefinitionReport, StorageSpace
from ganeti.schema.records import FieldValues


def some_facts(*, runs: Sequence[str] = (), **over: object) -> NodeInfo:
    """The facts of a node with 32 GiB of memory and 1 TiB of file storage, half of both free."""
    facts: FieldValues = {
        "memory_total": 32768,
        "memory_free": 16384,
        "memory_node": 512,
        "cpus": 8,
        "cpu_nodes": 1,
        "cpu_sockets": 1,
        "cpus_node": 1,
        "boot_id": "0d3f",
        "guests": {name: GuestState(name=name, memory=128, vcpus=1) for name in runs},
        "storage": (StorageSpace(kind="file", name="/srv", size=1 << 20, free=1 << 19),),
        "problems": {},
    }
    return NodeInfo(**{**facts, **over})


def an_os(name: str = "noop", **over: object) -> OSDefinitionReport:
    """A valid OS definition without variants."""
    definition: FieldValues = {
        "name": name,
        "path": f"/usr/share/ganeti/os/{name}",
        "valid": True,
        "diagnosis": "",
        "variants": (),
        "parameters": (),
        "api_versions": (20,),
    }
    return OSDefinitionReport(**{**definition, **over})
