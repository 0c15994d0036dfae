# SPDX-License-Identifier: BSD-2-Clause
"""New keys and certificates for the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.changes.nodes import certificates_of, certify
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.operations.operation import Facts, Operation, Tools
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.node import RequestCertificate, UseCertificate


@dataclass(frozen=True)
class Renew:
    """The nodes that get certificates."""

    nodes: tuple[Node, ...]

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[node_lock(node.uuid) for node in self.nodes])


def plan(op: RenewCrypto, state: ClusterState, facts: Facts) -> Renew:
    """Find the nodes, or refuse what this cluster does not have."""
    if op.renew_ssh_keys:
        raise Refused("this cluster has no ssh keys of its own to renew", Code.INPUT)
    if not op.node_certificates:
        raise Refused("nothing to renew was named; use --new-node-certificates", Code.INPUT)
    online = (node for node in state.nodes.values() if not node.offline)
    return Renew(tuple(sorted(online, key=lambda node: node.name)))


async def run(plan: Renew, tools: Tools) -> None:
    failed = []
    for node in plan.nodes:
        try:
            await _renew(node, tools)
        except Failed as e:
            failed.append(node.name)
            tools.progress.say(f"node {node.name} keeps its certificate: {e}")
        else:
            tools.progress.say(f"node {node.name} has a new key and certificate")
    if failed:
        raise Failed(f"these nodes keep their old certificates: {', '.join(failed)}")


async def _renew(node: Node, tools: Tools) -> None:
    old = certificates_of(tools.config.state(), node)
    wanted = await tools.nodes.ask(node, RequestCertificate())
    names = tuple(dict.fromkeys((node.name, node.primary_ip)))
    issued = await tools.issue(wanted.encode("ascii"), names)
    new = fingerprint(issued)
    # Both, before the new one is used: a node that is interrupted goes on with either.
    await tools.config.change(certify(node, *old, new))
    await tools.nodes.ask(node, UseCertificate(certificate=issued.decode("ascii")))
    await tools.config.change(certify(node, new))


OPERATION = Operation(RenewCrypto, plan, run)
