# SPDX-License-Identifier: BSD-2-Clause
"""The output of ``gnt-cluster info``."""

from __future__ import annotations

from ganeti.cli.output import Fields, timestamp

_PARAMETERS = {
    "candidate pool size": "candidate_pool_size",
    "maximal number of jobs running simultaneously": "max_running_jobs",
    "maximal number of jobs simultaneously tracked by the scheduler": "max_tracked_jobs",
    "mac prefix": "mac_prefix",
    "master netdev": "master_netdev",
    "master netmask": "master_netmask",
    "use external master IP address setup script": "use_external_mip_script",
    "lvm volume group": "volume_group_name",
    "lvm reserved volumes": "reserved_lvs",
    "drbd usermode helper": "drbd_usermode_helper",
    "file storage path": "file_storage_dir",
    "shared file storage path": "shared_file_storage_dir",
    "gluster storage path": "gluster_storage_dir",
    "maintenance of node health": "maintain_node_health",
    "uid pool": "uid_pool",
    "default instance allocator": "default_iallocator",
    "default instance allocator parameters": "default_iallocator_params",
    "primary ip version": "primary_ip_version",
    "preallocation wipe disks": "prealloc_wipe_disks",
    "OS search path": "os_search_path",
    "ExtStorage Providers search path": "extstorage_search_path",
    "enabled disk templates": "enabled_disk_templates",
    "install image": "install_image",
    "instance communication network": "instance_communication_network",
    "zeroing image": "zeroing_image",
    "compression tools": "compression_tools",
    "enabled user shutdown": "enabled_user_shutdown",
    "modify ssh setup": "modify_ssh_setup",
    "ssh_key_type": "ssh_key_type",
    "ssh_key_bits": "ssh_key_bits",
    "enabled data collectors": "enabled_data_collectors",
    "data collector interval": "data_collector_interval",
}


def joined(value: object) -> object:
    """Join a list of words with commas, as Ganeti shows it; return other values unchanged."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value


def told(facts: Fields) -> dict[str, object]:
    """Return the cluster as nested names and values."""
    policy = facts["ipolicy"]
    return {
        "Cluster name": facts["name"],
        "Cluster UUID": facts["uuid"],
        "Creation time": timestamp(facts["ctime"]),
        "Modification time": timestamp(facts["mtime"]),
        "Master node": facts["master"],
        "Architecture (this node)": " ".join(facts["architecture"]),
        "Tags": joined(facts["tags"]),
        "Default hypervisor": facts["default_hypervisor"],
        "Enabled hypervisors": joined(facts["enabled_hypervisors"]),
        "Hypervisor parameters": facts["hvparams"],
        "OS-specific hypervisor parameters": facts["os_hvp"],
        "OS parameters": facts["osparams"],
        "Hidden OSes": joined(facts["hidden_os"]),
        "Blacklisted OSes": joined(facts["blacklisted_os"]),
        "Cluster parameters": {
            title: joined(facts[name]) for title, name in _PARAMETERS.items() if name in facts
        },
        "Default node parameters": facts["ndparams"],
        "Default instance parameters": facts["beparams"],
        "Default nic parameters": facts["nicparams"],
        "Default disk parameters": facts["diskparams"],
        "Instance policy - limits for instances": {
            "bounds specs": policy.get("minmax"),
            "allowed disk templates": joined(policy.get("disk-templates")),
            "vcpu-ratio": policy.get("vcpu-ratio"),
            "spindle-ratio": policy.get("spindle-ratio"),
            "std": policy.get("std"),
        },
    }
