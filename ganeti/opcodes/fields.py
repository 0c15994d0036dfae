# SPDX-License-Identifier: BSD-2-Clause
"""Parameters that several opcodes have, each declared once: its type and what it means."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy as _AllocPolicy
from ganeti.opcodes.choices import FileDriver as _FileDriver
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.choices import MigrationMode as _MigrationMode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import (
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
"""How long a guest may take to shut down, in seconds, where nothing else is said."""

NO_COMPRESSION = "none"

# --- what it is about

TheInstance: TypeAlias = Annotated[InstanceName, doc("The instance, by name or UUID.")]
InstanceUUID: TypeAlias = Annotated[
    Text | None, doc("UUID of the instance; where it is given it goes before the name.")
]
InstanceNames: TypeAlias = tuple[Text, ...]
TheNode: TypeAlias = Annotated[NodeName, doc("The node, by name or UUID.")]
NodeUUID: TypeAlias = Annotated[
    Text | None, doc("UUID of the node; where it is given it goes before the name.")
]
NodeUUIDs: TypeAlias = Annotated[
    tuple[Text, ...] | None, doc("UUIDs of the nodes; where given they go before the names.")
]
ListedNodes: TypeAlias = Annotated[tuple[Text, ...], doc("Only these nodes; empty means all.")]
TheGroup: TypeAlias = Annotated[GroupName, doc("The node group, by name or UUID.")]
OnlyGroup: TypeAlias = Annotated[Text | None, doc("Only this node group.")]
TheNetwork: TypeAlias = Annotated[Name, doc("The network, by name or UUID.")]
OutputFields: TypeAlias = Annotated[tuple[Text, ...], doc("The columns of the answer, in order.")]
UseLocking: TypeAlias = Annotated[
    bool, doc("Wait for running jobs; answers never need this and it is refused by queries.")
]

# --- how hard to try

Force: TypeAlias = Annotated[bool, doc("Go ahead in spite of warnings.")]
IgnorePolicy: TypeAlias = Annotated[
    bool, doc("Go ahead even if the result breaks the instance policy.")
]
IgnoreConsistency: TypeAlias = Annotated[
    bool, doc("Go ahead even if the disks are not in sync; data may be lost.")
]
IgnoreOfflineNodes: TypeAlias = Annotated[
    bool, doc("Record the wanted state even if the node is offline.")
]
NoRemember: TypeAlias = Annotated[
    bool, doc("Leave the recorded wanted state of the instance as it is.")
]
WaitForSync: TypeAlias = Annotated[bool, doc("Finish only when the disks are in sync.")]
EarlyRelease: TypeAlias = Annotated[
    bool, doc("Free the old disks' locks before the new disks are in sync.")
]
ShutdownTimeout: TypeAlias = Annotated[
    Seconds, doc("How long the guest may take to shut down before it is stopped hard, in seconds.")
]
NameCheck: TypeAlias = Annotated[bool, doc("Require that the name resolves.")]
IPCheck: TypeAlias = Annotated[bool, doc("Require that nothing answers at the name's address.")]
ConflictsCheck: TypeAlias = Annotated[
    bool, doc("Refuse addresses that belong to another network or instance.")
]

# --- where to

Iallocator: TypeAlias = Annotated[Text | None, doc("The allocator that chooses the nodes.")]
TargetNode: TypeAlias = Annotated[Text | None, doc("The node to move to.")]
TargetNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the node to move to.")]
TargetGroups: TypeAlias = Annotated[
    tuple[Text, ...] | None, doc("Node groups to move to; if not given, any other group.")
]
RemoteNode: TypeAlias = Annotated[Text | None, doc("The node that becomes the new secondary.")]
RemoteNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the new secondary node.")]
PrimaryNode: TypeAlias = Annotated[Text | None, doc("The node that the instance is to run on.")]
PrimaryNodeUUID: TypeAlias = Annotated[Text | None, doc("UUID of the primary node.")]
OpportunisticLocking: TypeAlias = Annotated[
    bool, doc("Let the allocator choose only among nodes that no other job is using.")
]

# --- migration

Migration: TypeAlias = Annotated[
    _MigrationMode | None, doc("Whether the guest keeps running; default by its parameters.")
]
Live: TypeAlias = Annotated[
    bool | None, doc("The older form of mode: true is live, false is non-live.")
]
AllowRuntimeChanges: TypeAlias = Annotated[
    bool, doc("The guest's memory may be reduced to fit the target node.")
]

# --- what it is made of

NicKey: TypeAlias = Literal["mac", "ip", "mode", "link", "bridge", "vlan", "network", "name"]
NicParams: TypeAlias = dict[NicKey, Line | None]
"""A network card as asked for; what is missing takes the cluster's default."""

DiskParams: TypeAlias = dict[Text, Line | Integer | None]
"""A disk as asked for: size (MiB, or text with a unit), mode, name, vg, metavg, adopt, spindles,
access, provider; further keys are parameters of the external storage provider."""

DiskTemplate: TypeAlias = Annotated[Template | None, doc("What the disks are made of.")]
FileDriver: TypeAlias = Annotated[_FileDriver | None, doc("Driver for disks that are files.")]
FileStorageDir: TypeAlias = Annotated[
    Text | None, doc("Folder for disks that are files, below the cluster's storage folder.")
]
HypervisorName: TypeAlias = Annotated[
    Hypervisor | None, doc("The hypervisor; default is the cluster's first enabled one.")
]
HvParams: TypeAlias = Annotated[Parameters, doc("Hypervisor parameters.")]
BeParams: TypeAlias = Annotated[
    Parameters, doc("Backend parameters: maxmem, minmem, vcpus, auto_balance, always_failover, …")
]
OSType: TypeAlias = Annotated[Text | None, doc("The OS definition, with +variant if it has any.")]
ForceVariant: TypeAlias = Annotated[
    bool, doc("Accept an OS variant that the definition does not list.")
]
OSParams: TypeAlias = Annotated[Parameters, doc("Parameters for the OS definition's scripts.")]
PrivateParams: TypeAlias = Annotated[
    Parameters | None,
    doc("OS parameters that are stored but never shown.", private=True),
]
SecretParams: TypeAlias = Annotated[
    Parameters | None,
    doc("OS parameters that are passed to the scripts and neither stored nor shown.", secret=True),
]
Compression: TypeAlias = Annotated[
    Line, doc("The tool that compresses data between nodes, or none.")
]
Tags: TypeAlias = Annotated[tuple[Text, ...], doc("Tags to begin with.")]

# --- parameters of nodes and groups

NdParams: TypeAlias = Annotated[
    Parameters | None, doc("Node parameters that differ from the rest.")
]
_NO_RESERVE = "keep room on nodes by the instance policy, or drain them"
HvState: TypeAlias = Annotated[
    Parameters | None,
    unsupported("What each hypervisor uses on a node: memory and processors.", _NO_RESERVE),
]
DiskState: TypeAlias = Annotated[
    Parameters | None,
    unsupported("What is reserved of each storage, by kind and name.", _NO_RESERVE),
]
Communication: TypeAlias = Annotated[
    bool | None,
    unsupported(
        "Whether the instance has a network card to talk with its node.",
        "give it a network card, and let its bridge lead to the node",
    ),
]
HelperTimeout: TypeAlias = Annotated[
    Integer | None,
    unsupported(
        "How long the installing helper guest may take, in seconds.",
        "OS definitions are installed without a helper guest",
    ),
]
Policy: TypeAlias = Annotated[
    Parameters | None, doc("Instance policy: limits, ratios and allowed disk templates.")
]
TemplateParams: TypeAlias = Annotated[
    dict[Template, Parameters] | None, doc("Disk parameters, by disk template.")
]
AllocPolicy: TypeAlias = Annotated[
    _AllocPolicy | None, doc("Whether new instances are placed in the group.")
]

# --- verification

DebugSimulateErrors: TypeAlias = Annotated[
    bool,
    unsupported(
        "Report every check as failed, to test what reads the report.",
        "let something fail, such as the node daemon of a test cluster",
    ),
]
ErrorCodes: TypeAlias = Annotated[bool, doc("Report in lines that programs can read.")]
Verbose: TypeAlias = Annotated[bool, doc("Tell more about what is done.")]
Clutter: TypeAlias = Annotated[
    bool,
    unsupported(
        "Also report files that belong to nothing.",
        "what is left behind is removed by ganeti-cleaner",
    ),
]
