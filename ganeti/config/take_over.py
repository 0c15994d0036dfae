# SPDX-License-Identifier: BSD-2-Clause
"""The configuration at a take-over from Ganeti, and on the way back; pure functions of states."""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.access import Authorities, NodeCertificates
from ganeti.model.disk import DiskFormat, get_format
from ganeti.schema.records import FieldValues, replace

_FLAGS = ("master_candidate", "offline", "drained")


def take_over(
    state: ClusterState, *, certificate: str, authority: str, hypervisors: Collection[str]
) -> ClusterState:
    """Return the configuration with which the master begins, the only node that is online.

    ``certificate`` is the fingerprint of its certificate, ``authority`` the certificate (PEM) of
    the issuer. The other nodes have none yet, and so no vote: they are offline until they have
    joined. Of the enabled hypervisors, those in ``hypervisors`` remain.
    """
    cluster, master = state.cluster, state.master
    for node in state.nodes.values():
        first = node.uuid == master.uuid
        state = state.put(replace(node, master_candidate=first, offline=not first, drained=False))
    enabled = tuple(each for each in cluster.enabled_hypervisors if each in hypervisors)
    records = (
        replace(cluster, candidate_certs={master.uuid: certificate}, enabled_hypervisors=enabled),
        Authorities(uuid=cluster.uuid, certificates=(authority,)),
        NodeCertificates(uuid=master.uuid, fingerprints=(certificate,)),
    )
    for record in records:
        state = state.put(record)
    return _settle(state)


def give_back(state: ClusterState, before: ClusterState) -> ClusterState:
    """Return the configuration with which Ganeti continues, whose last one was ``before``.

    It has Ganeti's certificates of master candidates, and the nodes that Ganeti knew have their
    roles of that time.

    :raises Refused: the present master was no master candidate of Ganeti's, or an instance has
        disks that Ganeti would damage.
    """
    _check_formats(state)
    for node in state.nodes.values():
        if (old := before.nodes.get(node.uuid)) is not None:
            flags: FieldValues = {name: getattr(old, name) for name in _FLAGS}
            state = state.put(replace(node, **flags))
    known = before.cluster.candidate_certs
    if not state.master.master_candidate or (known and state.cluster.master_node not in known):
        raise Refused(
            f"Ganeti has no certificate of {state.master.name} as a master candidate; move the"
            " master role to a node that was one (gnt-cluster master-failover), and repeat this"
            " there"
        )
    cluster = replace(
        state.cluster,
        candidate_certs={uuid: each for uuid, each in known.items() if uuid in state.nodes},
        enabled_hypervisors=before.cluster.enabled_hypervisors,
    )
    return _settle(state.put(cluster))


def _check_formats(state: ClusterState) -> None:
    """Check that all file disks are raw, as Ganeti takes every file for a raw disk.

    :raises Refused: some are images; the message names their instances.
    """
    owners = {
        state.instances[state.owners[uuid]].name
        for uuid, disk in state.disks.items()
        if get_format(disk) is not DiskFormat.RAW and uuid in state.owners
    }
    if owners:
        raise Refused(
            "Ganeti would damage disks in qcow2 images, which these instances have:"
            f" {', '.join(sorted(owners))}; convert them to raw disks of another template"
            " (gnt-instance modify -t), or export and remove them"
        )


def _settle(state: ClusterState) -> ClusterState:
    """Return the state as of a later change, so that no older copy is taken for the newest."""
    cluster = replace(state.cluster, serial_no=state.cluster.serial_no + 1)
    return replace(state.put(cluster).settled(), serial_no=state.serial_no + 1)
