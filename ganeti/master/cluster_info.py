# SPDX-License-Identifier: BSD-2-Clause
"""The cluster information of ``QueryClusterInfo``, which clients query most often."""

from __future__ import annotations

import msgspec

from ganeti.config.state import ClusterState
from ganeti.model.cluster import CONFIG_VERSION, Cluster
from ganeti.model.parameters.filling import be_defaults, hv_defaults
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.schema.types import Parameters

OS_API_VERSION = 20
EXPORT_VERSION = 0

_SAME_NAME_FIELDS = (
    "os_hvp",
    "osparams",
    "ipolicy",
    "nicparams",
    "ndparams",
    "diskparams",
    "candidate_pool_size",
    "max_running_jobs",
    "max_tracked_jobs",
    "mac_prefix",
    "master_netdev",
    "master_netmask",
    "use_external_mip_script",
    "volume_group_name",
    "drbd_usermode_helper",
    "file_storage_dir",
    "shared_file_storage_dir",
    "gluster_storage_dir",
    "maintain_node_health",
    "ctime",
    "mtime",
    "uuid",
    "tags",
    "uid_pool",
    "default_iallocator",
    "default_iallocator_params",
    "reserved_lvs",
    "prealloc_wipe_disks",
    "hidden_os",
    "blacklisted_os",
    "enabled_hypervisors",
    "enabled_disk_templates",
    "install_image",
    "instance_communication_network",
    "zeroing_image",
    "compression_tools",
    "enabled_user_shutdown",
    "modify_ssh_setup",
    "ssh_key_type",
    "ssh_key_bits",
)
"""Settings that have the same name in the answer as in the configuration."""


class ClusterInfo:
    """The answer to ``QueryClusterInfo``, cached in encoded form until the cluster changes."""

    def __init__(self, release: str, machine: str) -> None:
        """``machine`` is the processor type as printed by ``uname -m``."""
        self._release = release
        self._machine = machine
        self._basis: tuple[object, object] = (None, None)
        self._encoded = msgspec.Raw()

    def encoded(self, state: ClusterState) -> msgspec.Raw:
        """Return the answer as JSON."""
        cluster, master = state.cluster, state.master
        if self._basis[0] is not cluster or self._basis[1] is not master:
            self._encoded = msgspec.Raw(msgspec.json.encode(self._collect(state)))
            self._basis = cluster, master
        return self._encoded

    def _collect(self, state: ClusterState) -> dict[str, object]:
        cluster = state.cluster
        facts = {name: getattr(cluster, name) for name in _SAME_NAME_FIELDS}
        collectors = cluster.data_collectors
        return {
            **facts,
            "hvparams": {**cluster.hvparams, **_fill_hypervisor_parameters(cluster)},
            "beparams": {**cluster.beparams, "default": _fill_backend_parameters(cluster)},
            "name": cluster.cluster_name,
            "master": state.master.name,
            "software_version": self._release,
            "vcs_version": f"v{self._release}",
            "protocol_version": CONFIG_VERSION,
            "config_version": CONFIG_VERSION,
            "os_api_version": OS_API_VERSION,
            "export_version": EXPORT_VERSION,
            "architecture": ["64bits", self._machine],
            "default_hypervisor": cluster.enabled_hypervisors[0],
            "primary_ip_version": 4 if cluster.primary_ip_family == 2 else 6,
            "enabled_data_collectors": {name: each.active for name, each in collectors.items()},
            "data_collector_interval": {name: each.interval for name, each in collectors.items()},
        }


def _fill_backend_parameters(cluster: Cluster) -> Parameters:
    """Return the default backend parameters; clients of 2.2 read ``memory``."""
    defaults = be_defaults(cluster)
    return {**defaults, "memory": defaults["maxmem"]}


def _fill_hypervisor_parameters(cluster: Cluster) -> dict[str, object]:
    """Return the complete default parameters of every hypervisor."""
    return {name: hv_defaults(cluster, name) for name in HYPERVISORS}
