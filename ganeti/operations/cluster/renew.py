# SPDX-License-Identifier: BSD-2-Clause
"""The operation that renews node certificates, shared secrets and the authority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.changes.authorities import record_secrets_replaced
from ganeti.config.changes.nodes import get_certificates, set_certificates
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import CLUSTER, LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.operations.cluster.authority import (
    AGAIN,
    RELOAD_DELAY,
    introduce_authority,
    retire_authority,
)
from ganeti.operations.cluster.redistribute import distribute_files, other_candidates
from ganeti.operations.member_list import distribute_member_list, make_member_list
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.node import RequestCertificate, UseCertificate


@dataclass(frozen=True)
class RenewalPlan:
    """The nodes that get new certificates.

    ``secrets`` and ``authority`` state whether these are replaced, too.
    """

    nodes: tuple[Node, ...]
    secrets: bool = False
    authority: bool = False

    @property
    def locks(self) -> LockRequest:
        shared = [CLUSTER] if self.secrets or self.authority else []
        return request(exclusive=[*(node_lock(node.uuid) for node in self.nodes), *shared])


def plan(op: RenewCrypto, state: ClusterState, facts: NodeAnswers) -> RenewalPlan:
    """Plan what to renew."""
    if op.renew_ssh_keys:
        raise Refused("the cluster has no SSH keys to renew", Code.INPUT)
    if not (op.node_certificates or op.shared_secrets or op.cluster_certificate):
        raise Refused("no item to renew given; use --new-node-certificates", Code.INPUT)
    replaceable = make_member_list(state) is not None
    if op.cluster_certificate and not replaceable:
        raise Refused(
            "the authority can only be replaced if node certificates are recorded; first run:"
            " gnt-cluster renew-crypto --new-node-certificates"
        )
    # A configuration of other software does not record what is exposed.
    known = state.authorities
    exposed = known is None or known.key_exposed or len(known.certificates) > 1
    authority = op.cluster_certificate or (op.shared_secrets and exposed and replaceable)
    secrets = op.shared_secrets if known is None else known.secrets_exposed
    online = [node for node in state.nodes.values() if not node.offline]
    return RenewalPlan(
        nodes=tuple(sorted(online, key=lambda node: node.name))
        if op.node_certificates or authority
        else (),
        secrets=secrets and (op.shared_secrets or op.cluster_certificate),
        authority=authority,
    )


async def run(plan: RenewalPlan, tools: Tools) -> None:
    """Issue the certificates, announce them to all nodes, install them, and revoke the old ones.

    The old certificate of a node is valid until it uses the new one. When this returns, old keys
    are revoked, also if they had leaked.
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
    await renewal.install_certificate()
    await renewal.revoke()
    if renewal.failed:
        told = f"cannot renew the certificates of these nodes: {', '.join(renewal.failed)}"
        raise Failed(f"{told}; {AGAIN}" if plan.authority else told)
    if plan.authority:
        await retire_authority(tools)


async def _renew_secrets(tools: Tools) -> None:
    await tools.keys.renew_secrets()
    await tools.config.change(record_secrets_replaced)
    tools.progress.log_message("replaced the cluster domain secret and the key of the remote API")
    candidates = other_candidates(tools.config.state())
    for name, trouble in (await distribute_files(candidates, tools)).items():
        tools.progress.log_message(f"node {name} does not have the new secrets yet: {trouble}")


class _Renewal:
    """The old, new and finally accepted certificates of nodes by node name."""

    def __init__(self, nodes: Sequence[Node], tools: Tools) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._tools = tools
        self._old: dict[str, tuple[str, ...]] = {}
        self._issued: dict[str, bytes] = {}
        self._accepted: dict[str, tuple[str, ...]] = {}
        self.failed: list[str] = []

    async def issue(self) -> None:
        """Let each node generate a key, and issue a certificate for it."""
        for name, node in self._nodes.items():
            names = tuple(dict.fromkeys((name, node.primary_ip)))
            try:
                wanted = await self._tools.nodes.ask(node, RequestCertificate())
                self._issued[name] = await self._tools.issue(wanted.encode("ascii"), names)
            except Failed as e:
                self._record_failure(name, e)
            self._old[name] = get_certificates(self._tools.config.state(), node)

    async def announce(self) -> None:
        """Make all nodes accept both the old and the new certificates."""
        issued = self._issued.items()
        await self._certify({name: (*self._old[name], fingerprint(new)) for name, new in issued})
        lacking = await self._tools.members.distribute()
        if lacking and self._master in self._issued:
            del self._issued[self._master]
            # Those nodes would reject the master, and nothing could update them any more.
            self._accepted[self._master] = self._old[self._master]
            self._record_failure(
                self._master, Failed(f"cannot announce the new certificate to {', '.join(lacking)}")
            )

    async def install_certificate(self) -> None:
        """Install the new certificate on each node."""
        for name, new in self._issued.items():
            use = UseCertificate(certificate=new.decode("ascii"))
            try:
                await self._tools.nodes.ask(self._nodes[name], use)
            except Unreachable as e:
                self._record_failure(name, e)  # unknown, so both certificates stay valid
            except Failed as e:
                self._accepted[name] = self._old[name]
                self._record_failure(name, e)
            else:
                self._accepted[name] = (fingerprint(new),)
                self._tools.progress.log_message(f"node {name}: key and certificate renewed")

    async def revoke(self) -> None:
        """Make all nodes reject certificates that are no longer in use."""
        if self._master in self._issued:
            # Until the master daemon notices the new file, it uses its old certificate.
            await self._tools.time.sleep(RELOAD_DELAY)
        await self._certify(self._accepted)
        await distribute_member_list(self._tools)

    @property
    def _master(self) -> str:
        return self._tools.config.state().master.name

    async def _certify(self, certificates: Mapping[str, tuple[str, ...]]) -> None:
        changes = [
            set_certificates(self._nodes[name], *known)
            for name, known in certificates.items()
            if known
        ]
        if changes:
            await self._tools.config.change(together(*changes))

    def _record_failure(self, name: str, why: Failed) -> None:
        self.failed.append(name)
        self._tools.progress.log_message(f"node {name}: certificate not renewed: {why}")


OPERATION = Operation(RenewCrypto, plan, run)
