# SPDX-License-Identifier: BSD-2-Clause
"""The cluster itself: its name, its master, and the defaults that everything else refers to."""

from __future__ import annotations

from ganeti.model.named import TaggedObject
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Key, Line, Parameters

CONFIG_VERSION = 3_000_000
"""Ganeti 3.0: ``major * 1000000 + minor * 10000``."""


class DataCollector(Record):
    """Whether a monitoring collector runs, and every how many microseconds."""

    active: bool
    interval: Integer


class Cluster(TaggedObject, omit_defaults=True):
    """The settings of the whole cluster; ``master_node`` is a node's UUID."""

    rsahostkeypub: Line
    dsahostkeypub: Line | None = None
    highest_used_port: Integer
    tcpudp_port_pool: tuple[Integer, ...]
    mac_prefix: Line
    volume_group_name: Line | None = None
    reserved_lvs: tuple[Line, ...]
    drbd_usermode_helper: Line | None = None
    master_node: Line
    master_ip: Line
    master_netdev: Line
    master_netmask: Integer
    use_external_mip_script: bool
    cluster_name: Line
    file_storage_dir: Line
    shared_file_storage_dir: Line
    gluster_storage_dir: Line
    enabled_hypervisors: tuple[Line, ...]
    hvparams: dict[Key, Parameters]
    os_hvp: dict[Key, dict[Key, Parameters]]
    beparams: dict[Key, Parameters]
    osparams: dict[Key, Parameters]
    osparams_private_cluster: dict[Key, Parameters]
    nicparams: dict[Key, Parameters]
    ndparams: Parameters
    diskparams: dict[Key, Parameters]
    candidate_pool_size: Integer
    modify_etc_hosts: bool
    modify_ssh_setup: bool
    maintain_node_health: bool
    uid_pool: tuple[tuple[Integer, Integer], ...]
    default_iallocator: Line
    default_iallocator_params: Parameters
    hidden_os: tuple[Line, ...]
    blacklisted_os: tuple[Line, ...]
    primary_ip_family: Integer
    prealloc_wipe_disks: bool
    ipolicy: Parameters
    hv_state_static: Parameters | None = None
    disk_state_static: Parameters | None = None
    enabled_disk_templates: tuple[Line, ...]
    candidate_certs: dict[Key, Line]
    max_running_jobs: Integer
    max_tracked_jobs: Integer
    install_image: Line
    instance_communication_network: Line
    zeroing_image: Line
    compression_tools: tuple[Line, ...]
    enabled_user_shutdown: bool
    data_collectors: dict[Key, DataCollector]
    ssh_key_type: Line
    ssh_key_bits: Integer
