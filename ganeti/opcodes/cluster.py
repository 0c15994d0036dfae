# SPDX-License-Identifier: BSD-2-Clause
"""Requests about the cluster as a whole."""

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
    """Bring up the master's address on the master node."""


class DeactivateMasterIP(Opcode, tag="OP_CLUSTER_DEACTIVATE_MASTER_IP"):
    """Take down the master's address on the master node."""


class DescribeCluster(Opcode, tag="OP_CLUSTER_QUERY"):
    """Tell the settings of the cluster."""


class QueryConfigValuesOpcode(Opcode, tag="OP_CLUSTER_CONFIG_QUERY"):
    """Tell single values of the configuration, in the order asked for."""

    output_fields: Annotated[tuple[Text, ...], doc("The names of the values.")]


class FinishInit(Opcode, tag="OP_CLUSTER_POST_INIT"):
    """Run the hooks that follow the creation of the cluster."""


class DestroyCluster(Opcode, tag="OP_CLUSTER_DESTROY"):
    """End a cluster that has nothing left but its master."""


class RedistributeConfig(Opcode, tag="OP_CLUSTER_REDIST_CONF"):
    """Bring the configuration and the files beside it to every node again."""


class RenameCluster(Opcode, tag="OP_CLUSTER_RENAME"):
    """Give the cluster another name, and with it another master address."""

    summary_field = "name"
    host_names = ("name",)

    name: Annotated[Text, doc("The new name.")]


_NO_SSH = "nodes speak over TLS; the cluster has no ssh keys of its own"


class SshKeyType(enum.StrEnum):
    """The algorithms of ssh keys."""

    DSA = "dsa"
    ECDSA = "ecdsa"
    RSA = "rsa"


class RenewCrypto(Opcode, tag="OP_CLUSTER_RENEW_CRYPTO"):
    """Renew the certificates of all nodes, the authority that issues them, or shared secrets."""

    shared_secrets: Annotated[
        bool,
        doc(
            "Replace the keys and secrets of the master candidates that a node may know which is"
            " no candidate any more, and complete a replacement that was interrupted."
        ),
    ] = False
    cluster_certificate: Annotated[
        bool,
        doc(
            "Replace the cluster's certificate authority, and every certificate that it has"
            " issued; complete a replacement that was interrupted."
        ),
    ] = False
    node_certificates: Annotated[bool, doc("Renew the nodes' certificates.")] = False
    renew_ssh_keys: Annotated[bool, doc("Renew the nodes' ssh keys.")] = False
    ssh_key_type: Annotated[
        SshKeyType | None, unsupported("The kind of the new ssh keys.", _NO_SSH)
    ] = None
    ssh_key_bits: Annotated[
        Positive | None, unsupported("The length of the new ssh keys.", _NO_SSH)
    ] = None
    verbose: fields.Verbose = False
    debug: Annotated[bool, doc("Tell everything about what is done.")] = False


class RepairDiskSizes(Opcode, tag="OP_CLUSTER_REPAIR_DISK_SIZES"):
    """Compare the recorded sizes of disks with the real ones, and correct the record."""

    instances: Annotated[fields.InstanceNames, doc("Only these instances; empty means all.")] = ()


class ListAction(enum.StrEnum):
    """What happens to an entry of a list."""

    ADD = "add"
    ATTACH = "attach"
    DETACH = "detach"
    REMOVE = "remove"


UidRanges: TypeAlias = tuple[tuple[Integer, Integer], ...]
OSChanges: TypeAlias = tuple[tuple[ListAction, Text], ...]
ByName: TypeAlias = dict[Key, Parameters]


class ModifyCluster(Opcode, tag="OP_CLUSTER_SET_PARAMS"):
    """Change the settings of the cluster; what is not given stays as it is."""

    force: fields.Force = False
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    vg_name: Annotated[Line | None, doc("The volume group; empty text turns LVM off.")] = None
    enabled_hypervisors: Annotated[
        tuple[Hypervisor, ...] | None, doc("The enabled hypervisors, the default one first.")
    ] = None
    hvparams: Annotated[ByName | None, doc("Hypervisor parameters, by hypervisor.")] = None
    beparams: Annotated[Parameters | None, doc("Backend parameters of all instances.")] = None
    os_hvp: Annotated[
        ByName | None, doc("Hypervisor parameters by OS definition and hypervisor.")
    ] = None
    osparams: Annotated[ByName | None, doc("OS parameters, by OS definition.")] = None
    osparams_private_cluster: Annotated[
        ByName | None,
        doc("OS parameters by OS definition that are stored but never shown.", private=True),
    ] = None
    diskparams: fields.TemplateParams = None
    candidate_pool_size: Annotated[
        Positive | None, doc("How many nodes keep a copy of the configuration.")
    ] = None
    max_running_jobs: Annotated[Positive | None, doc("How many jobs run at once.")] = None
    max_tracked_jobs: Annotated[Positive | None, doc("How many jobs are watched at once.")] = None
    uid_pool: Annotated[UidRanges | None, doc("User ids for guests: [first, last] ranges.")] = None
    add_uids: Annotated[UidRanges | None, doc("Ranges to add to the user ids.")] = None
    remove_uids: Annotated[UidRanges | None, doc("Ranges to take from the user ids.")] = None
    maintain_node_health: Annotated[
        bool | None, doc("Stop instances that a node runs by mistake.")
    ] = None
    prealloc_wipe_disks: Annotated[bool | None, doc("Wipe new disks before use.")] = None
    nicparams: Annotated[
        fields.NicParams | None, doc("The defaults of network cards: mode, link, vlan.")
    ] = None
    ndparams: fields.NdParams = None
    ipolicy: fields.Policy = None
    drbd_helper: Annotated[
        Line | None, doc("The helper program of DRBD; empty text turns DRBD off.")
    ] = None
    default_iallocator: Annotated[Line | None, doc("The allocator where none is named.")] = None
    default_iallocator_params: Annotated[
        Parameters | None, doc("Parameters for the default allocator.")
    ] = None
    mac_prefix: Annotated[Text | None, doc("The first three bytes of MAC addresses.")] = None
    master_netdev: Annotated[Line | None, doc("The network device of the master's address.")] = None
    master_netmask: Annotated[
        Count | None, doc("The netmask of the master's address, in bits.")
    ] = None
    reserved_lvs: Annotated[
        tuple[Text, ...] | None, doc("Patterns of logical volumes to leave alone.")
    ] = None
    hidden_os: Annotated[OSChanges | None, doc("Changes of the list of hidden OSes.")] = None
    blacklisted_os: Annotated[
        OSChanges | None, doc("Changes of the list of OSes that must not be used.")
    ] = None
    use_external_mip_script: Annotated[
        bool | None, doc("Set up the master's address by a script of the administrator.")
    ] = None
    enabled_disk_templates: Annotated[
        tuple[Template, ...] | None, doc("The disk templates that may be used, default first.")
    ] = None
    modify_etc_hosts: Annotated[bool | None, doc("Keep /etc/hosts of the nodes up to date.")] = None
    file_storage_dir: Annotated[Line | None, doc("Folder for file disks.")] = None
    shared_file_storage_dir: Annotated[Line | None, doc("Folder for shared file disks.")] = None
    gluster_storage_dir: Annotated[Line | None, doc("Folder for disks on Gluster.")] = None
    install_image: Annotated[Line | None, doc("The image that safe installations run from.")] = None
    instance_communication_network: Annotated[
        Line | None, doc("The network between instances and their nodes; empty text for none.")
    ] = None
    zeroing_image: Annotated[Line | None, doc("The image that zeroes free space.")] = None
    compression_tools: Annotated[
        tuple[Text, ...] | None, doc("The compression tools that may be used.")
    ] = None
    enabled_user_shutdown: Annotated[
        bool | None, doc("Let users stop their instance from inside.")
    ] = None
    enabled_data_collectors: Annotated[
        dict[Key, bool] | None, doc("Which monitoring collectors run.")
    ] = None
    data_collector_interval: Annotated[
        dict[Key, Integer] | None, doc("How often collectors run, in microseconds.")
    ] = None


class OptionalCheck(enum.StrEnum):
    """Checks that can be left out."""

    N_PLUS_ONE = "nplusone_mem"


class FindingCode(enum.StrEnum):
    """What verification can find, by the codes of its machine-readable report."""

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
        "there is no exclusive storage, which is what needs equal sizes"
    ),
    FindingCode.EINSTANCEMISSINGCFGPARAMETER: (
        "every parameter has a default, so that none is missing"
    ),
    FindingCode.ENODEGLUSTERSTORAGEPATHUNUSABLE: "there are no gluster disks",
    FindingCode.ENODESSH: "nodes are reached through their daemons only, never by ssh",
    FindingCode.ENODEUSERSCRIPTS: (
        "nodes run no scripts of the administrator but hooks (ENODEHOOKS) and out-of-band helpers "
        "(ENODEOOBPATH)"
    ),
}
"""Codes that can be named in ``ignore_errors``, as scripts do, and why nothing is found."""


SkipChecks: TypeAlias = Annotated[tuple[OptionalCheck, ...], doc("Checks to leave out.")]
IgnoreErrors: TypeAlias = Annotated[
    tuple[FindingCode, ...], doc("Findings to report as warnings only.")
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
    """Check that the configuration agrees with itself."""

    debug_simulate_errors: fields.DebugSimulateErrors = False
    error_codes: fields.ErrorCodes = False
    ignore_errors: IgnoreErrors = ()
    verbose: fields.Verbose = False


class VerifyGroup(Opcode, tag="OP_CLUSTER_VERIFY_GROUP"):
    """Check all nodes and instances of a node group."""

    summary_field = "group_name"

    group_name: Annotated[GroupName, doc("The node group to check.")]
    debug_simulate_errors: fields.DebugSimulateErrors = False
    error_codes: fields.ErrorCodes = False
    skip_checks: SkipChecks = ()
    ignore_errors: IgnoreErrors = ()
    verbose: fields.Verbose = False
    verify_clutter: fields.Clutter = False


class VerifyDisks(Opcode, tag="OP_CLUSTER_VERIFY_DISKS"):
    """Submit a job for each node group that checks the disks of its instances."""

    group_name: fields.OnlyGroup = None
