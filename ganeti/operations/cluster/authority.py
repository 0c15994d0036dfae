# SPDX-License-Identifier: BSD-2-Clause
"""Replacing the cluster's certificate authority while the cluster works.

Both authorities are trusted from before the first certificate of the new one is used until after
the last one of the old one is. Whatever ends this in between, the master included, leaves a cluster
that works, and doing it again completes it.
"""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.changes.authorities import forget_certificates, trust
from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.operations.cluster.redistribute import other_candidates, share_files
from ganeti.operations.member_list import enforce_members
from ganeti.operations.operation import Tools
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.node import AskVersion

RELOAD = 5.0
"""Seconds in which the master daemon has certainly seen that files of its node have changed."""

AGAIN = (
    "when they answer again, or are marked offline (gnt-node modify --offline=yes), complete it"
    " with gnt-cluster renew-crypto --new-cluster-certificate; ganeti-watcher does so, too"
)


async def introduce_authority(tools: Tools) -> None:
    """Have all nodes that are online trust a new authority, and the candidates issue by its key.

    An unfinished replacement goes on with the authority that it has introduced, unless that one's
    key is not here, or may be known to a node that is no candidate any more. Nodes that are offline
    have to join again.

    :raises Failed: some nodes did not answer; says which. Both authorities are trusted.
    """
    await _require_answers(tools)
    if not await _is_introduced(tools):
        await _generate(tools)
    if lacking := await tools.members.distribute():
        raise _unfinished(lacking)
    # This includes the master daemon, which is about to meet certificates of the new authority.
    await tools.time.sleep(RELOAD)
    await tools.keys.renew_rapi()
    if lacking := await share_files(other_candidates(tools.config.state()), tools):
        raise _unfinished(lacking)
    tools.progress.say("all nodes trust the new authority, and the candidates have its key")
    await _forget_offline_nodes(tools)


async def _forget_offline_nodes(tools: Tools) -> None:
    """Let nodes that do not know the new authority join again before they are used.

    From now on they would take the master for a stranger.
    """
    state = tools.config.state()
    online = {node.uuid for node in _online(state)}
    if set(state.certificates) <= online:
        return
    await tools.config.change(forget_certificates(online))
    others = sorted(node.name for node in state.nodes.values() if node.offline)
    tools.progress.say(
        f"these nodes are offline and must join again before they are used: {', '.join(others)}"
        " (gnt-node add --readd)"
    )


async def retire_authority(tools: Tools) -> None:
    """Trust the newest authority only, which has issued the certificates of all nodes.

    :raises Failed: a candidate may lack the key; says which. Both authorities are trusted.
    """
    # Again: files that were read before may have been on their way to a candidate.
    if lacking := await share_files(other_candidates(tools.config.state()), tools):
        raise _unfinished(lacking)
    state = tools.config.state()
    assert state.authorities is not None
    await tools.config.change(trust(state.authorities.certificates[0]))
    await enforce_members(tools)
    tools.progress.say("the old authority is not trusted any more")


async def _require_answers(tools: Tools) -> None:
    """Refuse to begin what could not be completed now."""
    nodes = _online(tools.config.state())
    answers = await tools.nodes.ask_all(nodes, AskVersion())
    silent = [node.name for node in nodes if isinstance(answers[node.uuid], Failed)]
    if silent:
        raise Failed(f"the authority stays as it is, as nodes do not answer: {_named(silent)}")


async def _is_introduced(tools: Tools) -> bool:
    """Return whether the newest authority is one that an unfinished replacement can go on with."""
    known = tools.config.state().authorities
    if known is None or known.key_exposed or len(known.certificates) == 1:
        return False
    newest = fingerprint(known.certificates[0].encode())
    return await tools.keys.issuing_authority() == newest


async def _generate(tools: Tools) -> None:
    """Introduce a new authority to the nodes, and issue by its key on this host."""
    state = tools.config.state()
    made = await tools.keys.generate_authority(state.cluster.cluster_name)
    known = state.authorities
    others = known.certificates if known else await tools.keys.trusted_authorities()
    await tools.config.change(trust(made.certificate, *others))
    lacking = await tools.members.distribute()
    if state.master.name in lacking:
        # The certificate for the key would not be here. It is lost with this job, and was not used.
        raise _unfinished(lacking)
    await tools.keys.use_authority(made.key)
    tools.progress.say(f"the new authority has the fingerprint {_short(made.certificate)}")


def _online(state: ClusterState) -> list[Node]:
    return [node for node in state.nodes.values() if not node.offline]


def _unfinished(lacking: Collection[str]) -> Failed:
    return Failed(
        "two authorities are trusted until all nodes know the new one, which these do not:"
        f" {_named(lacking)}"
    )


def _named(nodes: Collection[str]) -> str:
    return f"{', '.join(sorted(nodes))}; {AGAIN}"


def _short(certificate: str) -> str:
    return f"{fingerprint(certificate.encode())[:16]}..."
