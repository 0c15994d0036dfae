# SPDX-License-Identifier: BSD-2-Clause
"""The cluster itself: its name, its master, and the defaults that everything else refers to."""

from __future__ import annotations

from ganeti.model.named import Tagged
from ganeti.schema.records import Record
from ganeti.schema.types import Parameters

CONFIG_VERSION = 3_000_000
"""Ganeti 3.0: ``major * 1000000 + minor * 10000``."""


class DataCollector(Record):
    """Whether a monitoring collector runs, and every how many microseconds."""

    active: bool
    interval: int


class Cluster(Tagged, omit_defaults=True):
    """The settings of the whole cluster; ``master_node`` is a node's UUID."""

    rsahostkeypub: str
    dsahostkeypub: str | None = None
    highest_used_port: int
    tcpudp_port_pool: tuple[int, ...]
    mac_prefix: str
    volume_group_name: str | None = None
    reserved_lvs: tuple[str, ...]
    drbd_usermode_helper: str | None = None
    master_node: str
    master_ip: str
    master_netdev: str
    master_netmask: int
    use_external_mip_script: bool
    cluster_name: str
    file_storage_dir: str
    shared_file_storage_dir: str
    gluster_storage_dir: str
    enabled_hypervisors: tuple[str, ...]
    hvparams: dict[str, Parameters]
    os_hvp: dict[str, dict[str, Parameters]]
    beparams: dict[str, Parameters]
    osparams: dict[str, Parameters]
    osparams_private_cluster: dict[str, Parameters]
    nicparams: dict[str, Parameters]
    ndparams: Parameters
    diskparams: dict[str, Parameters]
    candidate_pool_size: int
    modify_etc_hosts: bool
    modify_ssh_setup: bool
    maintain_node_health: bool
    uid_pool: tuple[tuple[int, int], ...]
    default_iallocator: str
    default_iallocator_params: Parameters
    hidden_os: tuple[str, ...]
    blacklisted_os: tuple[str, ...]
    primary_ip_family: int
    prealloc_wipe_disks: bool
    ipolicy: Parameters
    hv_state_static: Parameters | None = None
    disk_state_static: Parameters | None = None
    enabled_disk_templates: tuple[str, ...]
    candidate_certs: dict[str, str]
    max_running_jobs: int
    max_tracked_jobs: int
    install_image: str
    instance_communication_network: str
    zeroing_image: str
    compression_tools: tuple[str, ...]
    enabled_user_shutdown: bool
    data_collectors: dict[str, DataCollector]
    ssh_key_type: str
    ssh_key_bits: int
