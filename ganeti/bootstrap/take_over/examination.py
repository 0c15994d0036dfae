# SPDX-License-Identifier: BSD-2-Clause
"""What a take-over from Ganeti would bring, and what stands in its way; nothing is changed."""

from __future__ import annotations

import errno
import os
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.bootstrap.take_over.folder_exchange import GANETI
from ganeti.bootstrap.take_over.ganeti_daemons import STOP, list_running
from ganeti.bootstrap.take_over.ganeti_folder import GanetiFolder, describe_version
from ganeti.config.invariants import verify
from ganeti.errors import Invalid
from ganeti.jobs.job import JobStatus
from ganeti.model.disk import SUPPORTED_TEMPLATES
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.parsing import checked
from ganeti.model.unsupported import UNSUPPORTED
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.validity import read_end_of_validity
from ganeti.schema.host_names import normalize
from ganeti.schema.parameters import parameters

_IRRELEVANT: Mapping[str, Sequence[object]] = {
    "compression_tools": (),
    "data_collectors": (),
    "gluster_storage_dir": (),
    "hv_state_static": (
        {"cpu_node": 1, "cpu_total": 1, "mem_hv": 0, "mem_node": 0, "mem_total": 0},
    ),
    "modify_etc_hosts": (),
}
"""Unsupported settings that are not worth a word: with all values, or with these ones."""


_NETWORK_SCRIPT = (
    "network cards are connected by the node daemon (bridged, routed or openvswitch); set up"
    " anything else in the configuration of the host, or by a hook after the start of instances"
)
_UNUSED_FILES: Mapping[str, str] = {
    "kvm-vif-bridge": _NETWORK_SCRIPT,
    "vif-custom": _NETWORK_SCRIPT,
    "node-domain": "give nodes and instances their full names",
}
"""Files of administrators that have no effect here, with the alternative."""


class IHostProbe(Protocol):
    """What is asked of the host."""

    def bind(self, address: str, port: int) -> int:
        """Return 0 if a daemon could listen there, otherwise the error number."""

    def program(self, name: str) -> bool:
        """Return whether a program is installed."""

    def daemon(self, pid_file: str) -> int | None:
        """Return the process ID in a pid file if that process is a daemon of Ganeti, else None."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""


@dataclass(frozen=True)
class Examination:
    """What comes over, what is different afterwards, and what stands in the way."""

    comes: Sequence[str]
    differs: Sequence[str]
    obstacles: Sequence[str]


def examine(folder: GanetiFolder, paths: Paths, name: str, host: IHostProbe) -> Examination:
    """Examine the take-over of the cluster in ``folder`` by this host, the node ``name``."""
    return Examination(
        comes=tuple(_describe(folder, host.now())),
        differs=(*_list_differences(folder, host.now()), *_list_unused_files(paths)),
        obstacles=tuple(_list_obstacles(folder, paths, name, host)),
    )


# --- what comes over


def _describe(folder: GanetiFolder, now: float) -> Iterator[str]:
    state, cluster = folder.state, folder.state.cluster
    yield (
        f"cluster {cluster.cluster_name}: the configuration of Ganeti {describe_version(folder)},"
        f" with serial number {state.serial_no}"
    )
    counts = {
        "nodes": state.nodes,
        "node groups": state.groups,
        "instances": state.instances,
        "disks": state.disks,
        "networks": state.networks,
        "job filters": state.filters,
    }
    yield ", ".join(f"{len(found)} {what}" for what, found in counts.items())
    tags = Counter(
        tag
        for kind in (state.nodes, state.groups, state.instances, state.networks)
        for each in kind.values()
        for tag in each.tags
    )
    yield f"{len({*tags, *cluster.tags})} different tags"
    ended = len(folder.jobs) - len(folder.unfinished)
    yield f"{ended} finished jobs, {len(folder.archived)} archived ones; last job {folder.serial}"
    yield f"{folder.users} users of the remote API"
    if usable_rapi_certificate(folder, now) is not None:
        yield "the certificate of the remote API"
    if folder.read(folder.paths.domain_secret):
        yield "the domain secret for moves between clusters"


def usable_rapi_certificate(folder: GanetiFolder, now: float) -> bytes | None:
    """Return key and certificate of the remote API, unless they are unusable or have expired."""
    pem = folder.read(folder.paths.rapi_certificate)
    if not pem:
        return None
    try:
        with tempfile.NamedTemporaryFile() as file:
            # The file of Ganeti may not be readable for the library by its own rules.
            file.write(pem)
            file.flush()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # OpenSSL would prompt for the password of an encrypted key.
            context.load_cert_chain(file.name, password=lambda: "")
        return pem if read_end_of_validity(pem) > now else None
    # An unusable certificate is no obstacle, as a new one can be issued.
    except (OSError, Invalid):
        return None


# --- what is different afterwards


def _list_differences(folder: GanetiFolder, now: float) -> Iterator[str]:
    cluster = folder.state.cluster
    for job in folder.unfinished:
        end = "with an error" if job.status is JobStatus.RUNNING else "as canceled"
        yield f"job {job.id} ({', '.join(job.summary)}) is {job.status.value}; it ends {end}"
    if folder.drained:
        yield "the job queue is drained, and stays so until: gnt-cluster queue undrain"
    for path in folder.damaged:
        yield f"{path} is not the file of a job, and is left behind"
    for reserved in folder.reservations:
        yield (
            f"instance {reserved.name} is only reserved (forthcoming), without all that a"
            f" reservation needs here, and is left behind; to reserve it afterwards: {reserved}"
        )
    for name in sorted(set(cluster.enabled_hypervisors) - HYPERVISORS.keys()):
        yield f"hypervisor {name} is not supported, and no longer enabled"
    for name, (off, instead) in UNSUPPORTED.items():
        value = getattr(cluster, name)
        if value not in (off, None) and not _is_irrelevant(name, value):
            yield f"cluster setting {name} ({value}) has no effect: {instead}"
    yield from _list_parameter_differences(folder)
    for node in folder.state.nodes.values():
        if node.drained:
            yield (
                f"node {node.name} is drained; after it has joined, mark it again: gnt-node modify"
                f" --drained yes {node.name}"
            )
    if usable_rapi_certificate(folder, now) is None:
        yield "there is no valid certificate of the remote API; a new one is issued"
    yield from (f"gnt-cluster verify will report: {each}" for each in verify(folder.state))


def _list_unused_files(paths: Paths) -> Iterator[str]:
    """Yield what is in ``/etc/ganeti`` for nothing."""
    for name, instead in _UNUSED_FILES.items():
        if os.path.exists(path := f"{paths.conf}/{name}"):
            yield f"{path} is not used: {instead}"


def _is_irrelevant(name: str, value: object) -> bool:
    if not _IRRELEVANT.get(name):
        return name in _IRRELEVANT
    parts = value.values() if isinstance(value, Mapping) else [value]
    return all(part in _IRRELEVANT[name] for part in parts)


def _list_parameter_differences(folder: GanetiFolder) -> Iterator[str]:
    cluster, instances = folder.state.cluster, folder.state.instances.values()
    for name, kind in HYPERVISORS.items():
        if name not in cluster.enabled_hypervisors:
            continue
        given = [("of the cluster", cluster.hvparams.get(name, {}))]
        given += [(f"of instance {i.name}", i.hvparams) for i in instances if i.hypervisor == name]
        known = {each.name for each in parameters(kind)}
        for whose, values in given:
            if unknown := sorted(values.keys() - known):
                yield f"parameters {whose} without an effect in {name}: {', '.join(unknown)}"
            try:
                used = {each: value for each, value in values.items() if each in known}
                checked(kind, used, path=f"hv/{name}")
            except Invalid as e:
                yield from (f"parameter {p.path} {whose}: {p.message}" for p in e.problems)


# --- what stands in the way


def _list_obstacles(
    folder: GanetiFolder, paths: Paths, name: str, host: IHostProbe
) -> Iterator[str]:
    yield from _place_obstacles(folder, paths)
    yield from _master_obstacles(folder, paths, name, host)
    yield from _instance_obstacles(folder)


def _place_obstacles(folder: GanetiFolder, paths: Paths) -> Iterator[str]:
    known = any(map(os.path.exists, (paths.config_file, paths.node_certificate)))
    if known and not is_foreign(paths):
        yield (
            f"this host is part of a cluster of this software already ({paths.data}); take the"
            " other one over on another host, or destroy this one first (gnt-cluster destroy)"
        )
    elif os.path.exists(f"{paths.data}/{GANETI}"):
        yield (
            f"{paths.data}/{GANETI} has the files of an earlier take-over; move it out of the way"
        )
    elif is_foreign(paths) and not os.path.samefile(paths.data, folder.paths.data):
        yield from _copy_obstacles(folder, paths)


def _copy_obstacles(folder: GanetiFolder, paths: Paths) -> Iterator[str]:
    """Yield why ``folder``, a copy, cannot replace the files of Ganeti on this host."""
    text = folder.read(paths.config_file) or b""
    if text != folder.read(folder.paths.config_file):
        yield (
            f"{paths.data} has another configuration than {folder.paths.data}; give {paths.data}"
            " itself, or copy it again"
        )


def _master_obstacles(
    folder: GanetiFolder, paths: Paths, name: str, host: IHostProbe
) -> Iterator[str]:
    state = folder.state
    master = state.master
    if normalize(name) != normalize(master.name):
        yield (
            f"the master of the cluster is {master.name}, and this host is {name}; run this on"
            f" {master.name}, or make {name} the master first, with Ganeti: gnt-cluster"
            " master-failover"
        )
    if running := list_running(paths.run, host.daemon):
        yield (
            f"daemons of Ganeti are running: {', '.join(running)}; stop them on all nodes: {STOP}"
        )
    elif not paths.root:
        yield from _address_obstacles(master.primary_ip, master.name, host)
    enabled = [each for each in state.cluster.enabled_hypervisors if each in HYPERVISORS]
    if "kvm" in enabled and not paths.root:
        path = str(state.cluster.hvparams.get("kvm", {}).get("kvm_path", ""))
        if not any(host.program(each) for each in (path, "qemu-system-x86_64") if each):
            yield "QEMU is not installed on this host: apt-get install qemu-system-x86"
    if not enabled:
        yield (
            "none of the enabled hypervisors is supported"
            f" ({', '.join(state.cluster.enabled_hypervisors)}); supported are"
            f" {', '.join(HYPERVISORS)}: enable one of them with Ganeti, gnt-cluster modify"
            " --enabled-hypervisors"
        )


def _address_obstacles(address: str, name: str, host: IHostProbe) -> Iterator[str]:
    # Only addresses of this host can be bound.
    trouble = host.bind(address, 0)
    if trouble:
        yield f"no network device of this host has the address {address} of {name}; configure it"
    elif host.bind(address, NODED_PORT) == errno.EADDRINUSE:
        yield (
            f"port {NODED_PORT} of {address}, on which ganeti-noded listens, is in use; stop the"
            f" program that uses it (ss -ltnp 'sport = :{NODED_PORT}' shows it)"
        )


def _instance_obstacles(folder: GanetiFolder) -> Iterator[str]:
    """Yield which instances use something that no driver here is for."""
    state = folder.state
    hypervisors: dict[str, list[str]] = {}
    templates: dict[str, list[str]] = {}
    for instance in sorted(state.instances.values(), key=lambda each: each.name):
        if instance.hypervisor not in HYPERVISORS:
            hypervisors.setdefault(instance.hypervisor, []).append(instance.name)
        for template in {disk.dev_type for disk in state.get_disks(instance)} - SUPPORTED_TEMPLATES:
            templates.setdefault(template.value, []).append(instance.name)
    for name, users in sorted(hypervisors.items()):
        yield (
            f"hypervisor {name} is not supported, and is used by {', '.join(users)}; move these"
            " instances to another cluster of Ganeti (move-instance), or remove them"
        )
    for name, users in sorted(templates.items()):
        yield (
            f"{name} disks are not supported, and are used by {', '.join(users)}; convert them with"
            " Ganeti (gnt-instance modify -t), or move these instances to another cluster of Ganeti"
        )
