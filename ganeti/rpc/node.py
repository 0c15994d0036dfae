# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the node itself: facts, files, hooks, OS definitions, verification."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from ganeti.model.guest import CheckScope, GuestNic, GuestState
from ganeti.rpc.call import FAST, URGENT, WHILE_ALIVE, Call
from ganeti.rpc.callers import ELECTORATE
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Key, Line, Lines, Number, Parameters, Text


class StorageSpace(Record):
    """Space of one storage unit: MiB in all and free."""

    kind: str
    name: str
    size: Integer
    free: Integer


class NodeInfo(Record):
    """What a node says of itself: memory in MiB, processors, space, what runs, and since when.

    ``problems`` maps a hypervisor or storage unit that could not answer to the reason.
    """

    memory_total: Integer
    memory_free: Integer
    memory_node: Integer
    cpus: Integer
    cpu_nodes: Integer
    cpu_sockets: Integer
    cpus_node: Integer
    boot_id: str
    guests: dict[str, GuestState]
    storage: tuple[StorageSpace, ...]
    problems: dict[str, str]


class DescribeNode(Call[NodeInfo]):
    """Everything that the master keeps about a node's present, in one question."""

    wire = "node_info"
    call_timeout = URGENT

    hypervisors: tuple[Line, ...]
    hvparams: dict[Key, Parameters] = {}
    storage: tuple[tuple[Line, Line], ...] = ()


class Version(Record):
    """The protocol and the release that a node speaks."""

    protocol: Integer
    release: str


class AskVersion(Call[Version]):
    """Which software a node runs."""

    wire = "version"
    call_timeout = URGENT


CERTIFICATES = "certificates"
"""A check of ours: the ends, in seconds since the epoch, of a node's certificates by path."""


HYPERVISOR_VERSIONS = "hypervisor-versions"
"""A check of ours: the versions of the programs of hypervisors, given with their parameters."""


OBSTACLES = "storage-obstacles"
"""A check of ours: why disks of the given templates would not work on a node, by template."""


class VerifyNode(Call[dict[str, Any]]):
    """Check the node: for each key of ``what`` the answer has one, as existing tools name them."""

    wire = "node_verify"
    call_timeout = FAST

    what: dict[Key, Any]
    cluster_name: Line


class RunRestrictedCommandCall(Call[str]):
    """Run a command that the node's administrator allows, without arguments; what it writes."""

    wire = "restricted_command"
    call_timeout = WHILE_ALIVE  # how long it takes is its administrator's business
    ends_with_asker = True

    cmd: Text


class CommandResult(Record):
    """How a command ended, and what it wrote to both of its streams."""

    code: Integer
    output: Lines


class RunCommand(Call[CommandResult]):
    """Run a command line by a shell, as root: what an administrator of the cluster types.

    Nobody but the master may call it, and not the jobs of its users: ``gnt-cluster command`` does,
    with the key of the master's node.
    """

    wire = "run_command"
    call_timeout = WHILE_ALIVE
    ends_with_asker = True

    command: Text


class CopyFile(Call[None]):
    """Write a file as on the master, ``path``, which is below the root folder of the node.

    ``content`` is in base64.
    """

    wire = "copy_file"
    call_timeout = FAST

    path: Text
    content: Line
    mode: Integer


class RunPowerHelper(Call[str]):
    """Let a helper on this node do a command for the power of ``remote_node``; what it writes.

    It may take ``timeout`` seconds. Helpers run on the master's own node, so no other node has to
    run one for anybody.
    """

    wire = "run_oob"
    call_timeout = URGENT
    local_only = True

    oob_program: Text
    command: Text
    remote_node: Text
    timeout: Number

    def answer_timeout(self) -> float:
        return self.timeout + self.call_timeout


class DelayCall(Call[None]):
    """Do nothing for some seconds."""

    wire = "test_delay"
    call_timeout = URGENT
    ends_with_asker = True

    duration: Number

    def answer_timeout(self) -> float:
        return self.duration + self.call_timeout


class HookResult(Record):
    """What became of one hook script: ``status`` is 0 skipped, 1 failed, 2 succeeded."""

    script: str
    status: Integer
    output: str


HookDirectory: TypeAlias = Literal[
    "cluster-destroy",
    "cluster-init",
    "cluster-modify",
    "cluster-rename",
    "cluster-verify",
    "config-update",
    "disk-grow",
    "group-add",
    "group-evacuate",
    "group-modify",
    "group-remove",
    "group-rename",
    "instance-add",
    "instance-change-group",
    "instance-export",
    "instance-failover",
    "instance-migrate",
    "instance-modify",
    "instance-move",
    "instance-reboot",
    "instance-recreate-disks",
    "instance-reinstall",
    "instance-remove",
    "instance-rename",
    "instance-start",
    "instance-stop",
    "mirrors-replace",
    "network-add",
    "network-connect",
    "network-disconnect",
    "network-modify",
    "network-remove",
    "network-rename",
    "node-add",
    "node-migrate",
    "node-modify",
    "node-remove",
]
"""The operations that have hooks, as administrators name the folders of their scripts."""

Phase: TypeAlias = Literal["pre", "post"]

HookVariable: TypeAlias = Annotated[str, Meta(pattern=r"\A(GANETI_[^=\x00\n]+|PATH)\Z")]
"""Other variables could make a script load what is not its own."""


class RunHooks(Call[list[HookResult]]):
    """Run the scripts of a hook directory and phase, one after the other."""

    wire = "hooks_runner"
    call_timeout = WHILE_ALIVE  # as long as the scripts of the administrator take
    ends_with_asker = True

    directory: HookDirectory
    phase: Phase
    environment: dict[HookVariable, Line]


API_WITH_PARAMETERS = 20
"""The first version of the interface of OS definitions that knows parameters."""


class OSDefinitionReport(Record):
    """An OS definition as one node sees it; ``valid`` or else what is wrong with it."""

    name: str
    path: str
    valid: bool
    diagnosis: str
    variants: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    api_versions: tuple[Integer, ...]
    trusted: bool = True

    @property
    def checks_parameters(self) -> bool:
        """Whether it lists its parameters, and has a script that checks their values."""
        return API_WITH_PARAMETERS in self.api_versions


class DescribeOSes(Call[list[OSDefinitionReport]]):
    """All OS definitions of the node, broken ones included."""

    wire = "os_diagnose"
    call_timeout = FAST


class Resolved(Record):
    """What a host name stands for, and whether something answers at one of its addresses."""

    addresses: tuple[str, ...]
    answers: bool = False


class ResolveName(Call[Resolved]):
    """Look up a host name; there are no addresses if nobody knows it.

    With ``probe`` its addresses are tried, which takes a second where nothing answers.
    """

    wire = "name_resolve"
    call_timeout = URGENT

    name: Text
    probe: bool = False


class ValidateOS(Call[None]):
    """Let an OS definition check its parameters; a failure carries the script's words."""

    wire = "os_validate"
    call_timeout = FAST

    os: Line
    osparams: Parameters
    force_variant: bool = False


class ValidateHypervisor(Call[None]):
    """Let the node check hypervisor parameters, the files they name included.

    With ``nics`` and the number of ``disks`` it checks whether it can attach these, too. With
    ``about`` problems of these parameters only are told. With ``minimum_version`` the hypervisor's
    program must not be older than that.
    """

    wire = "hypervisor_validate_params"
    call_timeout = FAST

    hypervisor: Line
    hvparams: Parameters
    nics: tuple[GuestNic, ...] = ()
    disks: Integer = 0
    scope: CheckScope = CheckScope.ALL
    about: tuple[Key, ...] = ()
    minimum_version: Line = ""


class WriteSsconf(Call[None]):
    """Replace the ``ssconf_*`` files; keys without the prefix."""

    wire = "write_ssconf_files"
    call_timeout = URGENT

    values: dict[Key, Lines]


class UploadFile(Call[None]):
    """Replace one of the files that a master may replace; ``content`` in base64."""

    wire = "upload_file_single"
    call_timeout = URGENT

    path: Text
    content: Line
    mode: Integer


class LeaveCluster(Call[None]):
    """Forget the cluster: certificates, copies of its state; then the daemon ends."""

    wire = "node_leave_cluster"
    call_timeout = URGENT


class RequestCertificate(Call[str]):
    """Make a new key; the answer is a signing request for it, in PEM."""

    wire = "certificate_request"
    call_timeout = FAST


class UseCertificate(Call[None]):
    """Use the key that was made last, with this certificate (PEM), instead of the old ones."""

    wire = "certificate_use"
    call_timeout = URGENT

    certificate: Lines


class StopMaster(Call[bool]):
    """End the master daemon and the remote API of a node, to hand the role over to another one.

    The answer says whether any of them ran; none does. If no other node has become the master
    within ``ganeti.node.membership.HAND_OVER`` seconds, they are started again.
    """

    wire = "node_stop_master"
    call_timeout = FAST
    callers = ELECTORATE


class ResumeMaster(Call[bool]):
    """Start the master daemon of a node again that was stopped for another one, which did not come.

    The answer says whether it was started: only if the node has granted no other master a term.
    """

    wire = "node_resume_master"
    call_timeout = FAST
    callers = ELECTORATE
