# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for the cluster as a whole."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from ganeti.model.disk import Template
from ganeti.opcodes import fields
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Count, GroupName, Integer, Key, Line, Parameters, Positive, Text


class ActivateMasterIP(Opcode, tag="OP_CLUSTER_ACTIVATE_MASTER_IP"):
    """Configure the master IP address on the master node."""


class DeactivateMasterIP(Opcode, tag="OP_CLUSTER_DEACTIVATE_MASTER_IP"):
    """Remove the master IP address from the master node."""


class DescribeCluster(Opcode, tag="OP_CLUSTER_QUERY"):
    """Return the settings of the cluster."""


class QueryConfigValuesOpcode(Opcode, tag="OP_CLUSTER_CONFIG_QUERY"):
    """Return values of the configuration in the requested order."""

    output_fields: Annotated[tuple[Text, ...], doc("Names of the values.")]


class FinishInit(Opcode, tag="OP_CLUSTER_POST_INIT"):
    """Run the post hooks of the cluster's creation."""


class DestroyCluster(Opcode, tag="OP_CLUSTER_DESTROY"):
    """Destroy a cluster that has no instances and no nodes except its master."""


class RedistributeConfig(Opcode, tag="OP_CLUSTER_REDIST_CONF"):
    """Distribute the configuration and ancillary files to all nodes again."""


class RenameCluster(Opcode, tag="OP_CLUSTER_RENAME"):
    """Rename the cluster, and change the master IP address to that of the new name."""

    summary_field = "name"
    host_names = ("name",)

    name: Annotated[Text, doc("New name.")]


_NO_SSH = "the cluster has no SSH keys, as nodes communicate over TLS"


class SshKeyType(enum.StrEnum):
    """The algorithms of SSH keys."""

    DSA = "dsa"
    ECDSA = "ecdsa"
    RSA = "rsa"


class RenewCrypto(Opcode, tag="OP_CLUSTER_RENEW_CRYPTO"):
    """Renew the certificates of all nodes, the authority that issues them, or shared secrets."""

    shared_secrets: Annotated[
        bool,
        doc(
            "Replace the master candidates' keys and secrets that a former candidate may know,"
            " and complete an interrupted replacement."
        ),
    ] = False
    cluster_certificate: Annotated[
        bool,
        doc(
            "Replace the cluster's certificate authority and all certificates that it has"
            " issued, and complete an interrupted replacement."
        ),
    ] = False
    node_certificates: Annotated[bool, doc("Renew the node certificates.")] = False
    renew_ssh_keys: Annotated[bool, doc("Renew the SSH keys of the nodes.")] = False
    ssh_key_type: Annotated[
        SshKeyType | None, unsupported("Type of the new SSH keys.", _NO_SSH)
    ] = None
    ssh_key_bits: Annotated[
        Positive | None, unsupported("Length of the new SSH keys.", _NO_SSH)
    ] = None
    verbose: fields.Verbose = False
    debug: Annotated[bool, doc("Print debug messages.")] = False


class RepairDiskSizes(Opcode, tag="OP_CLUSTER_REPAIR_DISK_SIZES"):
    """Compare the recorded sizes of disks with the actual ones, and correct the configuration."""

    instances: Annotated[fields.InstanceNames, doc("Names of instances; empty means all.")] = ()


class ListAction(enum.StrEnum):
    """The change of an entry of a list."""

    ADD = "add"
    ATTACH = "attach"
    DETACH = "detach"
    REMOVE = "remove"


UidRanges: TypeAlias = tuple[tuple[Integer, Integer], ...]
OSChanges: TypeAlias = tuple[tuple[ListAction, Text], ...]
ByName: TypeAlias = dict[Key, Parameters]


class ModifyCluster(Opcode, tag="OP_CLUSTER_SET_PARAMS"):
    """Change settings of the cluster; parameters that are not given stay unchanged."""

    force: fields.Force = False
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    vg_name: Annotated[Line | None, doc("Volume group; empty disables LVM.")] = None
    enabled_hypervisors: Annotated[
        tuple[Hypervisor, ...] | None, doc("Enabled hypervisors; the first one is the default.")
    ] = None
    hvparams: Annotated[ByName | None, doc("Hypervisor parameters by hypervisor.")] = None
    beparams: Annotated[Parameters | None, doc("Backend parameters of all instances.")] = None
    os_hvp: Annotated[
        ByName | None, doc("Hypervisor parameters by OS definition and hypervisor.")
    ] = None
    osparams: Annotated[ByName | None, doc("OS parameters by OS definition.")] = None
    osparams_private_cluster: Annotated[
        ByName | None,
        doc("Private OS parameters by OS definition; stored but never shown.", private=True),
    ] = None
    diskparams: fields.TemplateParams = None
    candidate_pool_size: Annotated[Positive | None, doc("Desired number of master candidates.")] = (
        None
    )
    max_running_jobs: Annotated[Positive | None, doc("Maximum number of running jobs.")] = None
    max_tracked_jobs: Annotated[Positive | None, doc("Maximum number of tracked jobs.")] = None
    uid_pool: Annotated[UidRanges | None, doc("User IDs for guests, as [first, last] ranges.")] = (
        None
    )
    add_uids: Annotated[UidRanges | None, doc("Ranges to add to uid_pool.")] = None
    remove_uids: Annotated[UidRanges | None, doc("Ranges to remove from uid_pool.")] = None
    maintain_node_health: Annotated[
        bool | None, doc("Stop instances that run on a wrong node.")
    ] = None
    prealloc_wipe_disks: Annotated[bool | None, doc("Wipe new disks.")] = None
    nicparams: Annotated[
        fields.NicParams | None, doc("Default NIC parameters: mode, link, vlan.")
    ] = None
    ndparams: fields.NdParams = None
    ipolicy: fields.Policy = None
    drbd_helper: Annotated[Line | None, doc("DRBD usermode helper; empty disables DRBD.")] = None
    default_iallocator: Annotated[Line | None, doc("Default iallocator.")] = None
    default_iallocator_params: Annotated[
        Parameters | None, doc("Parameters of the default iallocator.")
    ] = None
    mac_prefix: Annotated[Text | None, doc("First three bytes of MAC addresses.")] = None
    master_netdev: Annotated[Line | None, doc("Network device for the master IP.")] = None
    master_netmask: Annotated[Count | None, doc("Prefix length of the master IP address.")] = None
    reserved_lvs: Annotated[
        tuple[Text, ...] | None, doc("Patterns of logical volumes to ignore.")
    ] = None
    hidden_os: Annotated[OSChanges | None, doc("Changes of the list of hidden OS definitions.")] = (
        None
    )
    blacklisted_os: Annotated[
        OSChanges | None, doc("Changes of the list of blacklisted OS definitions.")
    ] = None
    use_external_mip_script: Annotated[
        bool | None, doc("Configure the master IP address by a custom script.")
    ] = None
    enabled_disk_templates: Annotated[
        tuple[Template, ...] | None, doc("Enabled disk templates; the first one is the default.")
    ] = None
    modify_etc_hosts: Annotated[bool | None, doc("Maintain /etc/hosts on the nodes.")] = None
    file_storage_dir: Annotated[Line | None, doc("Directory for file disks.")] = None
    shared_file_storage_dir: Annotated[Line | None, doc("Directory for sharedfile disks.")] = None
    gluster_storage_dir: Annotated[Line | None, doc("Directory for Gluster disks.")] = None
    install_image: Annotated[
        Line | None, doc("Image of the helper guest for OS installations.")
    ] = None
    instance_communication_network: Annotated[
        Line | None, doc("Network between instances and their nodes; empty for none.")
    ] = None
    zeroing_image: Annotated[
        Line | None, doc("Image of the helper guest that zeroes free space.")
    ] = None
    compression_tools: Annotated[tuple[Text, ...] | None, doc("Allowed compression tools.")] = None
    enabled_user_shutdown: Annotated[
        bool | None, doc("Accept a shutdown from inside an instance as intended.")
    ] = None
    enabled_data_collectors: Annotated[
        dict[Key, bool] | None, doc("Monitoring data collectors to enable or disable.")
    ] = None
    data_collector_interval: Annotated[
        dict[Key, Integer] | None, doc("Intervals of data collectors in microseconds.")
    ] = None


class OptionalCheck(enum.StrEnum):
    """Checks that can be skipped."""

    N_PLUS_ONE = "nplusone_mem"


class FindingCode(enum.StrEnum):
    """The codes of verification findings in the machine-readable report."""

    ECLUSTERCERT = "ECLUSTERCERT"
    ECLUSTERCFG = "ECLUSTERCFG"
    ECLUSTERCLIENTCERT = "ECLUSTERCLIENTCERT"
    ECLUSTERDANGLINGINST = "ECLUSTERDANGLINGINST"
    ECLUSTERDANGLINGNODES = "ECLUSTERDANGLINGNODES"
    ECLUSTERFILECHECK = "ECLUSTERFILECHECK"
    EEXTAGS = "EEXTAGS"
    EGROUPDIFFERENTPVSIZE = "EGROUPDIFFERENTPVSIZE"
    EINSTANCEBADNODE = "EINSTANCEBADNODE"
    EINSTANCEDOWN = "EINSTANCEDOWN"
    EINSTANCEFAULTYDISK = "EINSTANCEFAULTYDISK"
    EINSTANCELAYOUT = "EINSTANCELAYOUT"
    EINSTANCEMISSINGCFGPARAMETER = "EINSTANCEMISSINGCFGPARAMETER"
    EINSTANCEMISSINGDISK = "EINSTANCEMISSINGDISK"
    EINSTANCEPOLICY = "EINSTANCEPOLICY"
    EINSTANCESPLITGROUPS = "EINSTANCESPLITGROUPS"
    EINSTANCEUNSUITABLENODE = "EINSTANCEUNSUITABLENODE"
    EINSTANCEWRONGNODE = "EINSTANCEWRONGNODE"
    ENODEDRBD = "ENODEDRBD"
    ENODEDRBDHELPER = "ENODEDRBDHELPER"
    ENODEDRBDVERSION = "ENODEDRBDVERSION"
    ENODEFILECHECK = "ENODEFILECHECK"
    ENODEFILESTORAGEPATHS = "ENODEFILESTORAGEPATHS"
    ENODEFILESTORAGEPATHUNUSABLE = "ENODEFILESTORAGEPATHUNUSABLE"
    ENODEGLUSTERSTORAGEPATHUNUSABLE = "ENODEGLUSTERSTORAGEPATHUNUSABLE"
    ENODEHOOKS = "ENODEHOOKS"
    ENODEHV = "ENODEHV"
    ENODELVM = "ENODELVM"
    ENODEN1 = "ENODEN1"
    ENODENET = "ENODENET"
    ENODEOOBPATH = "ENODEOOBPATH"
    ENODEORPHANINSTANCE = "ENODEORPHANINSTANCE"
    ENODEORPHANLV = "ENODEORPHANLV"
    ENODEOS = "ENODEOS"
    ENODERPC = "ENODERPC"
    ENODESETUP = "ENODESETUP"
    ENODESHAREDFILESTORAGEPATHUNUSABLE = "ENODESHAREDFILESTORAGEPATHUNUSABLE"
    ENODESSH = "ENODESSH"
    ENODETIME = "ENODETIME"
    ENODEUSERSCRIPTS = "ENODEUSERSCRIPTS"
    ENODEVERSION = "ENODEVERSION"


NEVER_FOUND: Mapping[FindingCode, str] = {
    FindingCode.EGROUPDIFFERENTPVSIZE: (
        "exclusive storage, which requires equal sizes, is not supported"
    ),
    FindingCode.EINSTANCEMISSINGCFGPARAMETER: "every parameter has a default",
    FindingCode.ENODEGLUSTERSTORAGEPATHUNUSABLE: "gluster disks are not supported",
    FindingCode.ENODESSH: "nodes are contacted through their daemons only, never by SSH",
    FindingCode.ENODEUSERSCRIPTS: (
        "nodes run no scripts of the administrator except hooks (ENODEHOOKS) and out-of-band "
        "programs (ENODEOOBPATH)"
    ),
}
"""Codes that scripts may give in ``ignore_errors`` but that have no findings, with the reason."""


SkipChecks: TypeAlias = Annotated[tuple[OptionalCheck, ...], doc("Checks to skip.")]
IgnoreErrors: TypeAlias = Annotated[
    tuple[FindingCode, ...], doc("Error codes to report as warnings.")
]


class VerifyCluster(Opcode, tag="OP_CLUSTER_VERIFY"):
    """Submit the jobs that verify the configuration and each node group."""

    debug_simulate_errors: fields.DebugSimulateErrors = False
    error_codes: fields.ErrorCodes = False
    skip_checks: SkipChecks = ()
    ignore_errors: IgnoreErrors = ()
    verbose: fields.Verbose = False
    group_name: fields.OnlyGroup = None
    verify_clutter: fields.Clutter = False


class VerifyConfig(Opcode, tag="OP_CLUSTER_VERIFY_CONFIG"):
    """Verify that the configuration is consistent."""

    debug_simulate_errors: fields.DebugSimulateErrors = False
    error_codes: fields.ErrorCodes = False
    ignore_errors: IgnoreErrors = ()
    verbose: fields.Verbose = False


class VerifyGroup(Opcode, tag="OP_CLUSTER_VERIFY_GROUP"):
    """Verify all nodes and instances of a node group."""

    summary_field = "group_name"

    group_name: Annotated[GroupName, doc("Node group to verify.")]
    debug_simulate_errors: fields.DebugSimulateErrors = False
    error_codes: fields.ErrorCodes = False
    skip_checks: SkipChecks = ()
    ignore_errors: IgnoreErrors = ()
    verbose: fields.Verbose = False
    verify_clutter: fields.Clutter = False


class VerifyDisks(Opcode, tag="OP_CLUSTER_VERIFY_DISKS"):
    """Submit jobs that check the disks of instances, one for each node group."""

    group_name: fields.OnlyGroup = None


class UpgradeCluster(Opcode, tag="OP_CLUSTER_UPGRADE"):
    """Submit a job for each node that has another release; each waits for the one before."""

    summary_field = "release"

    release: fields.Release
    command: fields.UpgradeCommand = "upgrade"
    canary: Annotated[
        Text | None,
        doc("The node that is upgraded first; by default one with few instances."),
    ] = None
    timeout: fields.UpgradeTimeout = 900
