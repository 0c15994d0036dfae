# SPDX-License-Identifier: BSD-2-Clause
"""Declarations of parameters that several opcodes share."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy as _AllocPolicy
from ganeti.opcodes.choices import FileDriver as _FileDriver
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.choices import MigrationMode as _MigrationMode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import (
    VERSION,
    GroupName,
    InstanceName,
    Integer,
    Line,
    Name,
    NodeName,
    Parameters,
    Seconds,
    Text,
)

SHUTDOWN_TIMEOUT = 120
"""The default time-out for the shutdown of a guest, in seconds."""

NO_COMPRESSION = "none"

# --- objects

TheInstance: TypeAlias = Annotated[InstanceName, doc("Name or UUID of the instance.")]
InstanceUUID: TypeAlias = Annotated[
    Text | None, doc("UUID of the instance; takes precedence over the name.")
]
InstanceNames: TypeAlias = tuple[Text, ...]
TheNode: TypeAlias = Annotated[NodeName, doc("Name or UUID of the node.")]
NodeUUID: TypeAlias = Annotated[
    Text | None, doc("UUID of the node; takes precedence over the name.")
]
NodeUUIDs: TypeAlias = Annotated[
    tuple[Text, ...] | None, doc("UUIDs of the nodes; take precedence over the names.")
]
ListedNodes: TypeAlias = Annotated[tuple[Text, ...], doc("Names of nodes; empty means all.")]
TheGroup: TypeAlias = Annotated[GroupName, doc("Name or UUID of the node group.")]
OnlyGroup: TypeAlias = Annotated[Text | None, doc("Name of a node group; default is all.")]
TheNetwork: TypeAlias = Annotated[Name, doc("Name or UUID of the network.")]
OutputFields: TypeAlias = Annotated[tuple[Text, ...], doc("Output fields in order.")]
UseLocking: TypeAlias = Annotated[
    bool, doc("Acquire locks; queries refuse this, as they never need locks.")
]

# --- checks to skip, time-outs

Force: TypeAlias = Annotated[bool, doc("Ignore warnings.")]
IgnorePolicy: TypeAlias = Annotated[bool, doc("Ignore violations of the instance policy.")]
IgnoreConsistency: TypeAlias = Annotated[
    bool, doc("Ignore disks that are not in sync; data may be lost.")
]
IgnoreOfflineNodes: TypeAlias = Annotated[
    bool, doc("Record the new state even if the node is offline.")
]
NoRemember: TypeAlias = Annotated[bool, doc("Do not record the new state of the instance.")]
WaitForSync: TypeAlias = Annotated[bool, doc("Wait until the disks are in sync.")]
EarlyRelease: TypeAlias = Annotated[
    bool, doc("Release locks on the old disks before the new disks are in sync.")
]
ShutdownTimeout: TypeAlias = Annotated[
    Seconds, doc("Time-out for the shutdown of the guest, in seconds; then it is killed.")
]
NameCheck: TypeAlias = Annotated[bool, doc("Check that the name resolves.")]
IPCheck: TypeAlias = Annotated[bool, doc("Check that no host answers at the name's address.")]
ConflictsCheck: TypeAlias = Annotated[bool, doc("Reject addresses of another network or instance.")]

# --- targets

Iallocator: TypeAlias = Annotated[
    Text | None, doc("Name of the iallocator that selects the nodes.")
]
TargetNode: TypeAlias = Annotated[Text | None, doc("Target node.")]
TargetNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the target node.")]
TargetGroups: TypeAlias = Annotated[
    tuple[Text, ...] | None, doc("Target node groups; default is any other group.")
]
RemoteNode: TypeAlias = Annotated[Text | None, doc("New secondary node.")]
RemoteNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the new secondary node.")]
PrimaryNode: TypeAlias = Annotated[Text | None, doc("Primary node.")]
PrimaryNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the primary node.")]
OpportunisticLocking: TypeAlias = Annotated[
    bool, doc("Let the iallocator select only nodes that no other job has locked.")
]

# --- migration

Migration: TypeAlias = Annotated[
    _MigrationMode | None, doc("Whether the guest keeps running; default by hypervisor parameter.")
]
Live: TypeAlias = Annotated[
    bool | None, doc("Deprecated form of mode: true is live, false is non-live.")
]
AllowRuntimeChanges: TypeAlias = Annotated[
    bool, doc("Reduce the guest's memory if the target node requires it.")
]

# --- components of instances

NicKey: TypeAlias = Literal[
    "mac",
    "ip",
    "mode",
    "link",
    "bridge",
    "vlan",
    "network",
    "name",
    "anti_spoofing",
    "bandwidth_in",
    "bandwidth_out",
    "firewall",
]
NOT_TEXT = frozenset({"anti_spoofing", "bandwidth_in", "bandwidth_out"})
"""The parameters of network cards that are numbers, or true or false."""

NicParams: TypeAlias = dict[NicKey, Line | Integer | bool | None]
"""A requested network card; missing parameters have the cluster's defaults."""

DiskParams: TypeAlias = dict[Text, Line | Integer | None]
"""A requested disk: size (MiB, or text with a unit), mode, name, vg, metavg, adopt, spindles,
access, provider; other keys are parameters of the external storage provider."""

DiskTemplate: TypeAlias = Annotated[Template | None, doc("Disk template.")]
FileDriver: TypeAlias = Annotated[_FileDriver | None, doc("Driver for file disks.")]
FileStorageDir: TypeAlias = Annotated[
    Text | None, doc("Directory for file disks, below the cluster's storage directory.")
]
HypervisorName: TypeAlias = Annotated[
    Hypervisor | None, doc("Hypervisor; default is the cluster's default hypervisor.")
]
HvParams: TypeAlias = Annotated[Parameters, doc("Hypervisor parameters.")]
BeParams: TypeAlias = Annotated[
    Parameters, doc("Backend parameters: maxmem, minmem, vcpus, auto_balance, always_failover, …")
]
OSType: TypeAlias = Annotated[Text | None, doc("OS definition, with +variant if it has variants.")]
ForceVariant: TypeAlias = Annotated[
    bool, doc("Accept an OS variant that the definition does not declare.")
]
OSParams: TypeAlias = Annotated[Parameters, doc("OS parameters.")]
PrivateParams: TypeAlias = Annotated[
    Parameters | None,
    doc("Private OS parameters, which are stored but never shown.", private=True),
]
SecretParams: TypeAlias = Annotated[
    Parameters | None,
    doc("Secret OS parameters, which are neither stored nor shown.", secret=True),
]
Compression: TypeAlias = Annotated[
    Line, doc("Compression tool for transfers between nodes, or none.")
]
Tags: TypeAlias = Annotated[tuple[Text, ...], doc("Initial tags.")]

# --- parameters of nodes and groups

NdParams: TypeAlias = Annotated[
    Parameters | None, doc("Node parameters that differ from the defaults.")
]
_USE_POLICY = "limit instances by the instance policy, or drain nodes"
HvState: TypeAlias = Annotated[
    Parameters | None,
    unsupported("Memory and processors that each hypervisor uses on a node.", _USE_POLICY),
]
DiskState: TypeAlias = Annotated[
    Parameters | None,
    unsupported("Reserved storage by type and name.", _USE_POLICY),
]
Communication: TypeAlias = Annotated[
    bool | None,
    unsupported(
        "Whether the instance has a network card for communication with its node.",
        "add a network card that is connected to the node by a bridge",
    ),
]
HelperTimeout: TypeAlias = Annotated[
    Integer | None,
    unsupported(
        "Time-out for the helper guest of an OS installation, in seconds.",
        "OS installations do not use a helper guest",
    ),
]
Policy: TypeAlias = Annotated[
    Parameters | None, doc("Instance policy: limits, ratios and allowed disk templates.")
]
TemplateParams: TypeAlias = Annotated[
    dict[Template, Parameters] | None, doc("Disk parameters by disk template.")
]
AllocPolicy: TypeAlias = Annotated[
    _AllocPolicy | None, doc("Whether the allocator places new instances in the group.")
]

# --- verification

DebugSimulateErrors: TypeAlias = Annotated[
    bool,
    unsupported(
        "Report every check as failed, to test programs that read the report.",
        "cause a real failure, such as a stopped node daemon of a test cluster",
    ),
]
ErrorCodes: TypeAlias = Annotated[bool, doc("Print machine-readable output.")]
Verbose: TypeAlias = Annotated[bool, doc("Print more details.")]
Clutter: TypeAlias = Annotated[
    bool,
    unsupported(
        "Also report files that belong to no object.",
        "ganeti-cleaner removes such files",
    ),
]

# --- software

Release: TypeAlias = Annotated[
    str, Meta(max_length=64, pattern=VERSION), doc("The release that nodes have afterwards.")
]
UpgradeCommand: TypeAlias = Annotated[
    Line, Meta(min_length=1), doc("The restricted command of the nodes that installs it.")
]
UpgradeTimeout: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=86400),
    doc("The seconds within which a node must answer with the release."),
]
