# SPDX-License-Identifier: BSD-2-Clause
"""The member list of nodes, derived from the configuration."""

from __future__ import annotations

from ganeti.config.changes.nodes import get_certificates
from ganeti.config.state import ClusterState, RecordKind
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto
from ganeti.operations.operation import Tools
from ganeti.rpc.members import MemberRecords


def make_member_list(state: ClusterState) -> MemberRecords | None:
    """Return the member list for ``state``.

    It is None if no certificate of the master is recorded, because nodes with such a list would
    reject the master.
    """
    recorded = {node.name: get_certificates(state, node) for node in state.nodes.values()}
    if not recorded.get(state.master.name):
        return None
    trusted = state.authorities
    return MemberRecords(
        revision=state.serial_no,
        certificates={name: known for name, known in sorted(recorded.items()) if known},
        candidates=tuple(
            sorted(node.name for node in state.nodes.values() if node.master_candidate)
        ),
        authorities=trusted.certificates if trusted else (),
    )


def list_issued_certificates(state: ClusterState, name: str) -> frozenset[str]:
    """Return the fingerprints of certificates issued to the node with this name.

    These are the recorded ones of a member, and those that it got by a join token, which are
    recorded when it is added.
    """
    uuid = state.names.get((RecordKind.NODE, name))
    member = get_certificates(state, state.nodes[uuid]) if uuid else ()
    joined = (each for each in state.spent_tokens.values() if each.node == name)
    return frozenset((*member, *(each.fingerprint for each in joined)))


async def replace_secrets(name: str, tools: Tools) -> None:
    """Submit a job that replaces the secrets that node ``name`` knew as a master candidate.

    If there are several such jobs, the first one does the work: the configuration records what is
    exposed.
    """
    rotation = [RenewCrypto(shared_secrets=True), RedistributeConfig()]
    [(queued, job)] = await tools.submit([rotation])
    told = f"job {job} replaces them" if queued else f"cannot replace them: {job}"
    tools.progress.log_message(
        f"node {name} knows the keys of the cluster's authority and of the remote API, and the"
        f" cluster domain secret: {told}"
    )


async def distribute_member_list(tools: Tools) -> None:
    """Distribute the member list, so that a change is in effect when this returns.

    A node that does not answer gets the list before any other call later; the job's log names such
    nodes.
    """
    for name, trouble in (await tools.members.distribute()).items():
        tools.progress.log_message(
            f"node {name} does not have the new member list yet, and gets it before any other call:"
            f" {trouble}"
        )
