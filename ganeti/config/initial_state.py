# SPDX-License-Identifier: BSD-2-Clause
"""The initial configuration of a new cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

import msgspec

from ganeti.config.record_codec import decoded, encoder
from ganeti.config.state import KINDS, ClusterState, Stored, make_state
from ganeti.errors import Invalid, Problem
from ganeti.model.access import Authorities, NodeCertificates
from ganeti.model.cluster import Cluster, DataCollector
from ganeti.model.cluster_settings import (
    NO_USER_POOL,
    is_address,
    lacks_user_pool,
    missing_settings,
    setting_problems,
)
from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults, plain
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters, first_nic_parameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import check_consistency, checked
from ganeti.model.parameters.policy import Policy, Range, complete_std
from ganeti.model.unsupported import format_unsupported_template, unsupported
from ganeti.schema.host_names import RULE, is_host_name, normalize
from ganeti.schema.records import FieldValues
from ganeti.schema.types import Parameters

FIRST_GROUP = "default"
HELPER = "/bin/true"
"""The default usermode helper of DRBD, which allows every resync."""
COLLECTORS = ("cpu-avg-load", "diskstats", "drbd", "inst-status-xen", "lv", "xen-cpu-avg-load")

SETTINGS: Mapping[str, object] = MappingProxyType(
    {
        "rsahostkeypub": "",
        "highest_used_port": 10999,
        "tcpudp_port_pool": (),
        "volume_group_name": None,
        "reserved_lvs": (),
        "drbd_usermode_helper": None,
        "master_netdev": "lo",
        "master_netmask": 32,
        "use_external_mip_script": False,
        "file_storage_dir": "/srv/ganeti/file-storage",
        "shared_file_storage_dir": "/srv/ganeti/shared-file-storage",
        "gluster_storage_dir": "",
        "os_hvp": {},
        "osparams": {},
        "osparams_private_cluster": {},
        "candidate_pool_size": 10,
        "modify_etc_hosts": False,
        "modify_ssh_setup": False,
        "maintain_node_health": False,
        "uid_pool": (),
        "default_iallocator": "",
        "default_iallocator_params": {},
        "hidden_os": (),
        "blacklisted_os": (),
        "primary_ip_family": 2,
        "prealloc_wipe_disks": False,
        "hv_state_static": {},
        "disk_state_static": {},
        "max_running_jobs": 20,
        "max_tracked_jobs": 25,
        "install_image": "",
        "instance_communication_network": "",
        "zeroing_image": "",
        "compression_tools": ("none",),
        "enabled_user_shutdown": False,
        "data_collectors": {
            name: DataCollector(active=True, interval=5_000_000) for name in COLLECTORS
        },
        "ssh_key_type": "rsa",
        "ssh_key_bits": 2048,
    }
)
"""Default settings of a new cluster; the others are arguments of ``initial_state``."""

_DISKS: Mapping[str, type[ParameterSet]] = {kind.value: DISKS[kind] for kind in Template}


def initial_state(
    *,
    name: str,
    address: str,
    master: str,
    master_address: str,
    secondary_address: str | None = None,
    certificate: str | None = None,
    authority: str | None = None,
    hypervisors: Sequence[str] = ("kvm",),
    templates: Sequence[Template] = (Template.FILE, Template.SHAREDFILE, Template.DISKLESS),
    ids: Callable[[], str],
    random: Random,
    now: float,
    **settings: Any,
) -> ClusterState:
    """Return the initial state of a cluster: its settings, a node group and the master node.

    ``address`` is the address of the cluster, which moves with the master role. ``certificate`` is
    the fingerprint of the master node's certificate, ``authority`` the certificate (PEM) of its
    issuer. ``settings`` are fields of ``Cluster``; ``mac_prefix`` is random unless given. ``ids``
    generates UUIDs.

    Unlike Ganeti's default policy, this one allows instances without disks or network cards, and
    with memory and disks of any size.

    :raises Invalid: the name or a setting is not valid.
    """
    name = normalize(name)
    _check_names(name, master)
    chosen = _choose_settings(settings, templates, random)
    problems = [
        *unsupported(settings),
        *_find_template_problems(templates, chosen),
        *setting_problems(
            {**chosen, "master_ip": address},
            ipv6=settings.get("primary_ip_family") == socket.AF_INET6,
        ),
        *_find_pool_problems(chosen),
        *_find_address_problems(primary_ip=master_address, secondary_ip=secondary_address),
    ]
    if problems:
        raise Invalid(problems)
    stamp: FieldValues = {"serial_no": 1, "ctime": now, "mtime": now, "tags": ()}
    group = _create_group(ids(), stamp)
    node = _create_node(
        ids(), stamp, master, master_address, secondary_address or master_address, group.uuid
    )
    cluster = Cluster(
        **stamp,
        uuid=ids(),
        cluster_name=name,
        master_node=node.uuid,
        master_ip=address,
        enabled_hypervisors=tuple(dict.fromkeys(hypervisors)),
        enabled_disk_templates=tuple(dict.fromkeys(template.value for template in templates)),
        candidate_certs={node.uuid: certificate} if certificate else {},
        **chosen,
    )
    # Types are checked when records are decoded, and the arguments have not been.
    records: list[Stored] = [
        decoded(KINDS[type(record)], record.uuid, encoder.encode(record))
        for record in (cluster, group, node)
    ]
    if certificate:
        records.append(NodeCertificates(uuid=node.uuid, fingerprints=(certificate,)))
    if authority:
        records.append(Authorities(uuid=cluster.uuid, certificates=(authority,)))
    return make_state(records, serial_no=1, ctime=now, mtime=now)


def _check_names(cluster: str, master: str) -> None:
    if not is_host_name(cluster):
        raise Invalid([Problem("name", RULE)])
    if cluster == normalize(master):
        raise Invalid(
            [
                Problem(
                    "name", f"{cluster} is the name of the node; choose another one for the cluster"
                )
            ]
        )


def _choose_settings(
    given: FieldValues, templates: Sequence[Template], random: Random
) -> FieldValues:
    """Return the settings of the cluster: those that are ``given``, and defaults."""
    chosen = {
        **SETTINGS,
        "mac_prefix": f"aa:{random.getrandbits(8):02x}:{random.getrandbits(8):02x}",
        "drbd_usermode_helper": HELPER if Template.DRBD in templates else None,
        **default_parameters(),
        **given,
    }
    chosen["mac_prefix"] = chosen["mac_prefix"].lower()
    return chosen


def _find_template_problems(
    templates: Sequence[Template], settings: FieldValues
) -> Iterator[Problem]:
    """Yield which disk templates are not supported, or lack a setting."""
    path = "enabled_disk_templates"
    for each in templates:
        if each not in SUPPORTED_TEMPLATES:
            yield Problem(path, format_unsupported_template(each))
    for template, setting in missing_settings(templates, settings):
        yield Problem(path, f"{template.value} requires {setting}; set it, or omit the template")


def _find_pool_problems(settings: FieldValues) -> Iterator[Problem]:
    for name, found in settings["hvparams"].items():
        if lacks_user_pool(found, settings["uid_pool"]):
            yield Problem(f"hvparams/{name}/security_model", NO_USER_POOL)


def _find_address_problems(**addresses: str | None) -> Iterator[Problem]:
    for path, text in addresses.items():
        if text is not None and not is_address(text):
            yield Problem(path, f"{text} is not an IP address such as 192.0.2.1")


def _create_group(uuid: str, stamp: FieldValues) -> Group:
    return Group(
        **stamp,
        uuid=uuid,
        name=FIRST_GROUP,
        ndparams={},
        alloc_policy=AllocPolicy.PREFERRED,
        ipolicy={},
        diskparams={},
        networks={},
    )


def _create_node(
    uuid: str, stamp: FieldValues, name: str, primary: str, secondary: str, group: str
) -> Node:
    """Return the master node, with its primary and secondary IP address."""
    return Node(
        **stamp,
        uuid=uuid,
        name=name,
        primary_ip=primary,
        secondary_ip=secondary,
        master_candidate=True,
        offline=False,
        drained=False,
        group=group,
        master_capable=True,
        vm_capable=True,
        ndparams={},
        powered=True,
    )


class _SettingsReader:
    """A validator of settings that collects all problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def checked(
        self, kind: type[ParameterSet], given: Mapping[str, object], path: str, onto: Parameters
    ) -> Parameters:
        try:
            return checked(kind, given, path=path, onto=onto)
        except Invalid as e:
            self.problems += e.problems
            return onto

    def check_consistency(
        self, kind: type[ParameterSet], found: Mapping[str, object], path: str
    ) -> None:
        try:
            check_consistency(kind, {**defaults(kind), **found}, path=path)
        except Invalid as e:
            self.problems += e.problems

    def validate_each(
        self,
        kinds: Mapping[str, type[ParameterSet]],
        given: Mapping[str, Mapping[str, object]],
        path: str,
        onto: Mapping[str, Parameters],
    ) -> dict[str, Parameters]:
        found = dict(onto)
        for name, values in given.items():
            if name in kinds:
                here = f"{path}/{name}"
                found[name] = self.checked(kinds[name], values, here, onto.get(name, {}))
                self.check_consistency(kinds[name], found[name], here)
            else:
                self.problems.append(
                    Problem(path, f"{name} is unknown; choose from {', '.join(kinds)}")
                )
        return found


def given_settings(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return settings for ``initial_state`` from parameters given as text or values.

    ``given`` may have ``hvparams`` by hypervisor, ``diskparams`` by disk template, ``beparams``,
    ``nicparams``, ``ndparams`` and ``ipolicy``, each completed with defaults.

    :raises Invalid: with every problem.
    """
    read, usual = _SettingsReader(), default_parameters()
    found: dict[str, Any] = {}
    for name, kinds in (("hvparams", HYPERVISORS), ("diskparams", _DISKS)):
        if name in given:
            found[name] = read.validate_each(kinds, given[name], name, usual[name])
    for name, kind in (("beparams", Backend), ("nicparams", NicParameters)):
        if name in given:
            onto = usual[name]["default"]
            values = read.checked(kind, given[name], name, onto)
            found[name] = {"default": values}
            read.check_consistency(kind, values, name)
    if "ndparams" in given:
        onto = usual["ndparams"]
        found["ndparams"] = read.checked(NodeParameters, given["ndparams"], "ndparams", onto)
    if "ipolicy" in given:
        onto = usual["ipolicy"]
        policy = complete_std(given["ipolicy"], onto)
        limits = read.checked(Policy, policy, "ipolicy", onto)
        found["ipolicy"] = limits
        read.check_consistency(Policy, limits, "ipolicy")
    if read.problems:
        raise Invalid(read.problems)
    return found


def default_parameters() -> dict[str, Any]:
    """Return the default parameters of a new cluster."""
    return {
        "hvparams": default_hvparams(),
        "beparams": {"default": dict(defaults(Backend))},
        "nicparams": {"default": {**first_nic_parameters(), "link": "br0"}},
        "ndparams": dict(defaults(NodeParameters)),
        "diskparams": {name: dict(defaults(kind)) for name, kind in _DISKS.items()},
        "ipolicy": first_policy(),
    }


def default_hvparams() -> dict[str, Parameters]:
    """Return the default hypervisor parameters: guests boot from disk, not from a host's kernel."""
    return {**{name: {} for name in HYPERVISORS}, "kvm": {"kernel_path": ""}}


def first_policy() -> Parameters:
    """Return the default instance policy, which allows diskless and very small instances."""
    usual = Range()
    least = msgspec.structs.replace(
        usual.min, disk_count=0, disk_size=1, memory_size=1, nic_count=0
    )
    policy: Parameters = plain(Policy(minmax=(msgspec.structs.replace(usual, min=least),)))
    return policy
