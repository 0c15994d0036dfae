# SPDX-License-Identifier: BSD-2-Clause
"""What must be on the disks of all hosts when a cluster has settled, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ganeti.bootstrap.journal_copy import read
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.state import ClusterState
from ganeti.errors import GanetiError
from ganeti.jobs.job import encode
from ganeti.jobs.job_store import JobStore
from ganeti.journal.file_journal import FileJournal
from ganeti.master.mastership import MasterTerm
from ganeti.master.state_paths import StatePaths
from ganeti.master.state_recovery import recover
from ganeti.model.node import Node, NodeRole
from ganeti.node.voter import read_voter_state
from ganeti.opcodes.node import RemoveNode
from ganeti.testing.certificates import is_issued_by, key_of
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.simulated_host import SimulatedHost

OWN_FILES = re.compile(
    r"config\.data|access\.json|members|guest-lease|denied-leases|journal/(segment-\d{16}|checkpoint|config\.base)"
    r"|queue/(job-\d+|serial|version|drain)"
    r"|state-store\.json|term|server\.pem|ca\.pem|ca\.key|rapi\.pem|rapi/users|cluster-domain-secret|ssconf_[\w-]+"
)
"""What may be below the data folder of a host."""

_LEFT = re.compile(
    r"master daemon restarted|shutdown of the master daemon|could not remove|cannot remove"
    r"|cannot detach|journal could not store the change"
)

_NOT_DISMISSED = re.compile(
    r"its node daemon may still be running|master daemon restarted|shutdown of the master daemon"
    r"|journal could not store the change"
)


def leftovers(cluster: SimulatedCluster) -> list[str]:
    """Return everything that is on some disk and should not be, or the other way round."""
    state = cluster.master.config.state()
    found = [*_out_of_sync(cluster), *_strays(cluster), *_records(state)]
    known = _known_leftovers(cluster)
    for host in cluster.hosts:
        node = next((each for each in state.nodes.values() if each.name == host.name), None)
        found += _images(host, node, state, known)
        for name in sorted(host.guests.held() - known):
            found.append(f"{host.name} holds {name}, which is not on its way any more")
        found += _files(host)
        if node is not None and not node.offline:
            found += _authority(host, node, state)
        role = node.role(state.cluster.master_node) if node is not None else None
        if role is NodeRole.CANDIDATE and isinstance(cluster.master.quorum.now, MasterTerm):
            found += _copy(cluster, host)
        elif role is NodeRole.CANDIDATE:
            continue  # with the state in etcd, nodes have no copies
        elif role is not NodeRole.MASTER and not (
            node is None and _not_dismissed(cluster, host.name)
        ):
            found += _secrets(host, role.value if role is not None else "no member")
    return found


def _out_of_sync(cluster: SimulatedCluster) -> Iterator[str]:
    nodes = cluster.master.config.state().nodes
    for uuid, reason in cluster.master.candidates.out_of_sync().items():
        yield f"{nodes[uuid].name} does not come back into the in-sync set: {reason}"


def _strays(cluster: SimulatedCluster) -> Iterator[str]:
    """Name the nodes that obey another master, or an older term of this one."""
    master, online = cluster.process, cluster.master.config.state().nodes.values()
    for host in cluster.hosts:
        if any(node.name == host.name and not node.offline for node in online):
            vote = read_voter_state(MemoryFiles(host.disk), host.paths.term_file)
            if (vote.term, vote.master) != (master.term, master.host.name):
                yield f"{host.name} obeys {vote.master} of term {vote.term}"


def _records(state: ClusterState) -> Iterator[str]:
    owned = {uuid for instance in state.instances.values() for uuid in instance.disks}
    for uuid in sorted(set(state.disks) - owned):
        yield f"the configuration has disk {uuid}, which belongs to no instance"


def _known_leftovers(cluster: SimulatedCluster) -> set[str]:
    """Return the names of instances of which some job has said that it did things by halves.

    Whoever reads that ends what it has begun: a job that a dying master has broken off says so, one
    that could not ask a node to remove a disk, and one whose last change could not be kept.
    """
    return {
        name
        for job in cluster.master.queue.jobs()
        for op in job.ops
        if _LEFT.search(f"{op.result} {op.log}")
        for name in [*_names(op.opcode), *re.findall(r"disk/\d+ of (\S+) on ", f"{op.log}")]
    }


def _not_dismissed(cluster: SimulatedCluster, name: str) -> bool:
    """Return whether a job has said that a node it removed was not told, or was broken off."""
    return any(
        _NOT_DISMISSED.search(f"{op.result} {op.log}")
        for job in cluster.master.queue.jobs()
        for op in job.ops
        if isinstance(op.opcode, RemoveNode) and op.opcode.node_name == name
    )


def _names(opcode: object) -> list[str]:
    names = [getattr(opcode, field, None) for field in ("instance_name", "new_name")]
    return [name for name in names if isinstance(name, str)]


def _images(
    host: SimulatedHost, node: Node | None, state: ClusterState, known: set[str]
) -> Iterator[str]:
    named = set()
    if node is not None:
        for instance in state.instances.values():
            if node.uuid == instance.primary_node:
                named |= {str(state.disks[uuid].logical_id[1]) for uuid in instance.disks}
    there = host.images.sizes.keys()
    for path in sorted(there ^ named):
        if path.split("/")[-2] in known:
            continue
        if path in there:
            yield f"{host.name} has the image {path}, which belongs to no instance there"
        else:
            yield f"{host.name} lacks the image {path}"


def _files(host: SimulatedHost) -> Iterator[str]:
    data = f"{host.paths.data}/"
    for path in host.disk.contents():
        if path.startswith(data) and not OWN_FILES.fullmatch(path.removeprefix(data)):
            yield f"{host.name} has a file that should not be there: {path}"


def _authority(host: SimulatedHost, node: Node, state: ClusterState) -> Iterator[str]:
    """See that a node trusts the one authority of the cluster only, which has certified it."""
    authorities, disk = state.authorities, host.disk.contents()
    if authorities is None or authorities.must_be_replaced:
        yield "the replacement of the authority is unfinished"
        return
    [trusted] = (each.encode() for each in authorities.certificates)
    if disk.get(host.paths.authority) != trusted:
        yield f"{host.name} trusts other authorities than the cluster's"
        return
    issued = [host.paths.node_certificate]
    if node.master_candidate:
        issued.append(host.paths.rapi_certificate)
        if disk.get(host.paths.authority_key) != key_of(trusted):
            yield f"{host.name} has another key than that of the cluster's authority"
    for path in issued:
        if path not in disk or not is_issued_by(disk[path], trusted):
            yield f"{path} on {host.name} was not issued by the cluster's authority"


def _secrets(host: SimulatedHost, role: str) -> Iterator[str]:
    for path in host.secrets:
        if path in host.disk.contents():
            yield f"{host.name} has {path}, and is {role}"


def _copy(cluster: SimulatedCluster, host: SimulatedHost) -> Iterator[str]:
    """Compare what a master on this host would begin with, with what the master has."""
    master = cluster.master
    # On a disk of its own, as opening the journal may change it.
    files = MemoryFiles(host.disk.snapshot())
    places = StatePaths(host.paths.data)
    try:
        journal = cluster.wait(FileJournal.open(files, places.journal, cluster.clock))
        jobs = JobStore(journal, cluster.clock.seconds)
        recovered = recover(files, places, journal, jobs, cluster.ids.uuid)
        outside = read(files, host.paths.data)
    except GanetiError as e:
        yield f"the copy on {host.name} cannot be read: {e}"
        return
    if (last := journal.last_commit()) != (wanted := master.journal.last_commit()):
        yield f"the copy on {host.name} ends with {last}, not {wanted}"
        return
    if journal.end_position() != master.journal.end_position():
        yield f"the copy on {host.name} has another commit {journal.last_commit()}"
    text = ConfigDataEncoder().text(master.config.state())
    for how, state in (("a master", recovered.state), ("the tools", outside.state)):
        if ConfigDataEncoder().text(state) != text:
            yield f"{how} would read another configuration from the copy on {host.name}"
    ours = {job.id: encode(job) for job in master.queue.jobs()}
    theirs = {number: encode(job) for number, job in jobs.jobs.items()}
    if ours != theirs:
        differ = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        yield f"the copy on {host.name} has other jobs: {differ}"
    if jobs.serial < max(ours, default=0):
        yield f"the copy on {host.name} would give job numbers out again after {jobs.serial}"
    voter = read_voter_state(files, host.paths.term_file)
    if voter.replica_set != master.quorum.in_effect:
        yield f"{host.name} has kept another replica set: {voter.replica_set}"
