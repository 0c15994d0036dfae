# SPDX-License-Identifier: BSD-2-Clause
"""Replacement of the cluster's certificate authority without interruption.

Both authorities are trusted from before the first use of a certificate of the new one until after
the last use of one of the old. An interruption at any point, also of the master, leaves a working
cluster, and a repetition completes the replacement.
"""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.changes.authorities import forget_certificates, trust
from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.operations.cluster.redistribute import distribute_files, other_candidates
from ganeti.operations.member_list import distribute_member_list
from ganeti.operations.operation import Tools
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.node import AskVersion

RELOAD_DELAY = 5.0
"""Seconds after which the master daemon has noticed changed files of its node."""

AGAIN = (
    "when they are reachable again or marked offline (gnt-node modify --offline=yes), complete the"
    " replacement with gnt-cluster renew-crypto --new-cluster-certificate, or wait for"
    " ganeti-watcher to do so"
)


async def introduce_authority(tools: Tools) -> None:
    """Make all online nodes trust a new authority, and distribute its key to the candidates.

    An unfinished replacement continues with the authority that it introduced, unless its key is
    not on this host, or a former candidate may know it. Nodes that are offline must join again.

    :raises Failed: nodes did not answer, with their names; both authorities are trusted.
    """
    await _check_reachable(tools)
    if not await _is_introduced(tools):
        await _generate_authority(tools)
    if lacking := await tools.members.distribute():
        raise _unfinished_error(lacking)
    # Wait for the master daemon, too, which will soon get certificates of the new authority.
    await tools.time.sleep(RELOAD_DELAY)
    await tools.keys.renew_rapi()
    if lacking := await distribute_files(other_candidates(tools.config.state()), tools):
        raise _unfinished_error(lacking)
    tools.progress.log_message(
        "all nodes trust the new authority, and the master candidates have its key"
    )
    await _forget_offline_nodes(tools)


async def _forget_offline_nodes(tools: Tools) -> None:
    """Remove the certificates of offline nodes, which must join again.

    They do not trust the new authority, so they would reject the master.
    """
    state = tools.config.state()
    online = {node.uuid for node in _online_nodes(state)}
    if set(state.certificates) <= online:
        return
    await tools.config.change(forget_certificates(online))
    others = sorted(node.name for node in state.nodes.values() if node.offline)
    tools.progress.log_message(
        f"these nodes are offline and must be readded before use: {', '.join(others)}"
        " (gnt-node add --readd)"
    )


async def retire_authority(tools: Tools) -> None:
    """Stop trusting all authorities but the newest, which has issued all node certificates.

    :raises Failed: candidates may not have the key, with their names; both authorities are
       trusted.
    """
    # Distribute again: an earlier distribution with old content may have arrived last.
    if lacking := await distribute_files(other_candidates(tools.config.state()), tools):
        raise _unfinished_error(lacking)
    state = tools.config.state()
    assert state.authorities is not None
    await tools.config.change(trust(state.authorities.certificates[0]))
    await distribute_member_list(tools)
    tools.progress.log_message("the old authority is no longer trusted")


async def _check_reachable(tools: Tools) -> None:
    """Check that all online nodes answer, so that the replacement can be completed.

    :raises Failed: nodes do not answer.
    """
    nodes = _online_nodes(tools.config.state())
    answers = await tools.nodes.ask_all(nodes, AskVersion())
    silent = [node.name for node in nodes if isinstance(answers[node.uuid], Failed)]
    if silent:
        raise Failed(
            f"the authority was not replaced, because nodes do not answer: {_format_nodes(silent)}"
        )


async def _is_introduced(tools: Tools) -> bool:
    """Return whether an unfinished replacement can continue with the newest authority."""
    known = tools.config.state().authorities
    if known is None or known.key_exposed or len(known.certificates) == 1:
        return False
    newest = fingerprint(known.certificates[0].encode())
    return await tools.keys.issuing_authority() == newest


async def _generate_authority(tools: Tools) -> None:
    """Generate a new authority, make the nodes trust it, and install its key on this host."""
    state = tools.config.state()
    made = await tools.keys.generate_authority(state.cluster.cluster_name)
    known = state.authorities
    others = known.certificates if known else await tools.keys.trusted_authorities()
    await tools.config.change(trust(made.certificate, *others))
    lacking = await tools.members.distribute()
    if state.master.name in lacking:
        # This host would have the key without its certificate. The unused key is discarded.
        raise _unfinished_error(lacking)
    await tools.keys.use_authority(made.key)
    tools.progress.log_message(
        f"the new authority has the fingerprint {_short_fingerprint(made.certificate)}"
    )


def _online_nodes(state: ClusterState) -> list[Node]:
    return [node for node in state.nodes.values() if not node.offline]


def _unfinished_error(lacking: Collection[str]) -> Failed:
    return Failed(
        "both authorities stay trusted, because these nodes do not have the new one:"
        f" {_format_nodes(lacking)}"
    )


def _format_nodes(nodes: Collection[str]) -> str:
    return f"{', '.join(sorted(nodes))}; {AGAIN}"


def _short_fingerprint(certificate: str) -> str:
    return f"{fingerprint(certificate.encode())[:16]}..."
