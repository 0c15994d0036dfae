# SPDX-License-Identifier: BSD-2-Clause
"""The list of members that nodes keep, as the configuration has it."""

from __future__ import annotations

from ganeti.config.changes.nodes import certificates_of
from ganeti.config.state import ClusterState, RecordKind
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto
from ganeti.operations.operation import Tools
from ganeti.rpc.members import MemberRecords


def members_of(state: ClusterState) -> MemberRecords | None:
    """Return the list of members for ``state``.

    None if no certificate of the master is recorded: nodes with that list would obey nobody.
    """
    recorded = {node.name: certificates_of(state, node) for node in state.nodes.values()}
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


def issued_to(state: ClusterState, name: str) -> frozenset[str]:
    """Return the fingerprints of the certificates that a node of this name may have.

    Those that are recorded of a member, and those that it has got by a token and that are to be
    recorded when it is added.
    """
    uuid = state.names.get((RecordKind.NODE, name))
    member = certificates_of(state, state.nodes[uuid]) if uuid else ()
    joined = (each for each in state.spent_tokens.values() if each.node == name)
    return frozenset((*member, *(each.fingerprint for each in joined)))


async def replace_secrets(name: str, tools: Tools) -> None:
    """Queue a job that replaces what the node ``name`` has known as a master candidate.

    Of several such jobs the first one does it, as the configuration says what is exposed.
    """
    rotation = [RenewCrypto(shared_secrets=True), RedistributeConfig()]
    [(queued, job)] = await tools.submit([rotation])
    told = f"job {job} replaces them" if queued else f"they were not replaced: {job}"
    tools.progress.say(
        f"node {name} has known the keys of the cluster's authority and of the remote API, and the"
        f" cluster domain secret: {told}"
    )


async def enforce_members(tools: Tools) -> None:
    """Bring the list of members to the nodes: a change of it is in force when this returns.

    A node that does not answer now gets it before anything else once it does; the job's owner is
    told which these are.
    """
    for name, trouble in (await tools.members.distribute()).items():
        tools.progress.say(
            f"node {name} does not know of this yet, and will before it is asked anything else:"
            f" {trouble}"
        )
