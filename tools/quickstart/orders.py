# SPDX-License-Identifier: BSD-2-Clause
"""Jobs for the master of a cluster, as any client asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ganeti.errors import Failed, GanetiError, from_wire
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryInstances, SubmitManyJobs, WaitForJobChange
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.opcodes.node import AddNode
from ganeti.opcodes.opcode import Opcode
from tools.quickstart.place import Cluster, Node

FINAL = frozenset(("success", "error", "canceled"))

FIELDS = ("status", "opresult")


def client_of(master: Node) -> LuxiClient:
    """A client of the master daemon of this node."""
    return LuxiClient(master.paths.master_socket)


def perform(client: LuxiClient, opcodes: Iterable[Opcode]) -> list[Any]:
    """Have the opcodes done, each as a job; their results when all have ended well.

    :raises GanetiError: why the first of those that did not end well did not.
    """
    rows = client.ask(SubmitManyJobs(jobs=tuple((opcode,) for opcode in opcodes)))
    ends = [_end(client, job) if taken else Failed(str(job)) for taken, job in rows]
    problems = [end for end in ends if isinstance(end, GanetiError)]
    if problems:
        raise problems[0]
    return ends


def _end(client: LuxiClient, job: int) -> Any:
    """The result of a job's only opcode, or its error, when the job has ended."""
    known = None
    while True:
        answer = client.ask(WaitForJobChange(job_id=job, fields=FIELDS, prev_job_info=known))
        if answer is None:
            return Failed(f"job {job} does not exist")
        if answer == "nochange":
            continue
        known = status, results = answer[0]
        if status in FINAL:
            return results[0] if status == "success" else from_wire(results[0])


def add(node: Node) -> AddNode:
    """Take in a node that has joined."""
    return AddNode(node_name=node.name, primary_ip=node.address)


def first_instance(cluster: Cluster) -> CreateInstance:
    """A small instance, placed where there is most room for it."""
    return CreateInstance(
        instance_name=f"first.{cluster.name}",
        mode=CreationMode.CREATE,
        disk_template=Template.FILE,
        disks=({"size": 16},),
        nics=({},),
        beparams={"memory": 128},
        os_type="noop" if cluster.said.hypervisor == "fake" else "mini",
        name_check=False,
        ip_check=False,
    )


def instances(client: LuxiClient) -> list[list[object]]:
    """Name, node and status of every instance."""
    return client.ask(QueryInstances(names=(), fields=("name", "pnode", "status")))
