# SPDX-License-Identifier: BSD-2-Clause
"""New keys, certificates and secrets, and a new authority that issues them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.changes.authorities import secrets_replaced
from ganeti.config.changes.nodes import certificates_of, certify
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import CLUSTER, LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.operations.cluster.authority import (
    AGAIN,
    RELOAD,
    introduce_authority,
    retire_authority,
)
from ganeti.operations.cluster.redistribute import other_candidates, share_files
from ganeti.operations.member_list import enforce_members, members_of
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.node import RequestCertificate, UseCertificate


@dataclass(frozen=True)
class Renew:
    """The nodes that get certificates, and what is replaced of what the candidates share.

    With ``authority`` a new one issues the certificates.
    """

    nodes: tuple[Node, ...]
    secrets: bool = False
    authority: bool = False

    @property
    def locks(self) -> LockRequest:
        shared = [CLUSTER] if self.secrets or self.authority else []
        return request(exclusive=[*(node_lock(node.uuid) for node in self.nodes), *shared])


def plan(op: RenewCrypto, state: ClusterState, facts: NodeAnswers) -> Renew:
    """Find the nodes, or refuse what this cluster does not have."""
    if op.renew_ssh_keys:
        raise Refused("this cluster has no ssh keys of its own to renew", Code.INPUT)
    if not (op.node_certificates or op.shared_secrets or op.cluster_certificate):
        raise Refused("nothing to renew was named; use --new-node-certificates", Code.INPUT)
    replaceable = members_of(state) is not None
    if op.cluster_certificate and not replaceable:
        raise Refused(
            "the authority can be replaced only if the nodes' certificates are recorded; first:"
            " gnt-cluster renew-crypto --new-node-certificates"
        )
    # A configuration that other software has written does not say what is exposed.
    known = state.authorities
    exposed = known is None or known.key_exposed or len(known.certificates) > 1
    authority = op.cluster_certificate or (op.shared_secrets and exposed and replaceable)
    secrets = op.shared_secrets if known is None else known.secrets_exposed
    online = [node for node in state.nodes.values() if not node.offline]
    return Renew(
        nodes=tuple(sorted(online, key=lambda node: node.name))
        if op.node_certificates or authority
        else (),
        secrets=secrets and (op.shared_secrets or op.cluster_certificate),
        authority=authority,
    )


async def run(plan: Renew, tools: Tools) -> None:
    """Issue the certificates, let all nodes know them, and only then let them be used.

    Until a node uses its new certificate the old one is good, too, and no longer: what was
    renewed because somebody else has it is worth nothing when this returns.
    """
    if plan.secrets:
        await _renew_secrets(tools)
    if plan.authority:
        await introduce_authority(tools)
    if not plan.nodes:
        return
    renewal = _Renewal(plan.nodes, tools)
    await renewal.issue()
    await renewal.announce()
    await renewal.use()
    await renewal.revoke()
    if renewal.failed:
        told = f"these nodes keep their old certificates: {', '.join(renewal.failed)}"
        raise Failed(f"{told}; {AGAIN}" if plan.authority else told)
    if plan.authority:
        await retire_authority(tools)


async def _renew_secrets(tools: Tools) -> None:
    await tools.keys.renew_secrets()
    await tools.config.change(secrets_replaced)
    tools.progress.say("the cluster domain secret and the remote API's key were replaced")
    candidates = other_candidates(tools.config.state())
    for name, trouble in (await share_files(candidates, tools)).items():
        tools.progress.say(f"node {name} gets them when it answers: {trouble}")


class _Renewal:
    """The certificates, by name of node, that nodes had, that they get, and that are left."""

    def __init__(self, nodes: Sequence[Node], tools: Tools) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._tools = tools
        self._old: dict[str, tuple[str, ...]] = {}
        self._issued: dict[str, bytes] = {}
        self._left: dict[str, tuple[str, ...]] = {}
        self.failed: list[str] = []

    async def issue(self) -> None:
        """Have each node make a key, and issue a certificate for it."""
        for name, node in self._nodes.items():
            names = tuple(dict.fromkeys((name, node.primary_ip)))
            try:
                wanted = await self._tools.nodes.ask(node, RequestCertificate())
                self._issued[name] = await self._tools.issue(wanted.encode("ascii"), names)
            except Failed as e:
                self._keeps(name, e)
            self._old[name] = certificates_of(self._tools.config.state(), node)

    async def announce(self) -> None:
        """Let all nodes accept old and new certificates."""
        issued = self._issued.items()
        await self._certify({name: (*self._old[name], fingerprint(new)) for name, new in issued})
        lacking = await self._tools.members.distribute()
        if lacking and self._master in self._issued:
            del self._issued[self._master]
            # They would take it for a stranger, and nobody could inform them any more.
            self._left[self._master] = self._old[self._master]
            self._keeps(self._master, Failed(f"{', '.join(lacking)} would not know the new one"))

    async def use(self) -> None:
        """Let each node use its new certificate."""
        for name, new in self._issued.items():
            use = UseCertificate(certificate=new.decode("ascii"))
            try:
                await self._tools.nodes.ask(self._nodes[name], use)
            except Unreachable as e:
                self._keeps(name, e)  # or not: both stay good
            except Failed as e:
                self._left[name] = self._old[name]
                self._keeps(name, e)
            else:
                self._left[name] = (fingerprint(new),)
                self._tools.progress.say(f"node {name} has a new key and certificate")

    async def revoke(self) -> None:
        """Let no node accept a certificate any more that is not used."""
        if self._master in self._issued:
            await self._tools.time.sleep(RELOAD)
        await self._certify(self._left)
        await enforce_members(self._tools)

    @property
    def _master(self) -> str:
        return self._tools.config.state().master.name

    async def _certify(self, certificates: Mapping[str, tuple[str, ...]]) -> None:
        changes = [
            certify(self._nodes[name], *known) for name, known in certificates.items() if known
        ]
        if changes:
            await self._tools.config.change(together(*changes))

    def _keeps(self, name: str, why: Failed) -> None:
        self.failed.append(name)
        self._tools.progress.say(f"node {name} keeps its certificate: {why}")


OPERATION = Operation(RenewCrypto, plan, run)
