# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the node itself: resources, files, hooks, OS definitions, verification."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from ganeti.model.guest import CheckScope, GuestNic, GuestState
from ganeti.rpc.call import FAST, NO_TIMEOUT, URGENT, Call
from ganeti.rpc.callers import CANDIDATES
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, JsonValue, Key, Line, Lines, Number, Parameters, Text

WATCH_TIMEOUT = 10.0
"""Seconds in addition to its own wait after which a call that watches a node fails. With this wait,
that is about as soon as probes would find out that the node does not answer."""


class StorageSpace(Record):
    """Total and free space of a storage unit in MiB."""

    kind: str
    name: str
    size: Integer
    free: Integer


class NodeInfo(Record, omit_defaults=True):
    """The resources of a node and its running guests; memory in MiB.

    ``boot_id`` changes with every boot of the host. ``problems`` maps hypervisors and storage units
    that could not be queried to the reason. ``host_stops`` is whether the host waits for its guests
    to be migrated, before it shuts down.
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
    host_stops: bool = False


class DescribeNode(Call[NodeInfo], omit_defaults=True):
    """Return the live data that the master caches for a node, in one call.

    With ``only``, the answer has no other guests than these, as far as they are running.
    """

    wire = "node_info"
    call_timeout = URGENT

    hypervisors: tuple[Line, ...]
    hvparams: dict[Key, Parameters] = {}
    storage: tuple[tuple[Line, Line], ...] = ()
    only: tuple[Line, ...] | None = None


class StatusReport(Record, omit_defaults=True):
    """The status of a node, or what has changed since an earlier report.

    Unless it is ``whole``, ``info`` has no other guests than those that are new or different, and
    ``gone`` the names of those that no longer run. The next report continues at ``position``.
    """

    position: str
    info: NodeInfo
    whole: bool = True
    gone: tuple[str, ...] = ()


class WatchNode(Call[StatusReport]):
    """Wait until the status of the node differs from the report at ``since``; return the changes.

    The answer is a whole report, at once, if the node does not know this report, as after a restart
    of its daemon. Without a change, it is sent after ``wait`` seconds, with current sums of memory
    and storage.
    """

    wire = "node_watch"
    call_timeout = WATCH_TIMEOUT
    ends_with_asker = True

    hypervisors: tuple[Line, ...]
    storage: tuple[tuple[Line, Line], ...]
    wait: Number
    since: Line = ""

    def answer_timeout(self) -> float:
        return self.wait + self.call_timeout


class Usage(Record):
    """What a host or a guest has used: points of fixed step, in seconds, the newest at ``end``.

    ``end`` is in seconds since the epoch. The series are ``cpu`` (processors in use), ``memory``
    (MiB), ``disk_read``, ``disk_written``, ``received`` and ``sent`` (bytes per second); what is
    not known is null.
    """

    step: Number
    end: Number
    series: dict[Key, tuple[Number | None, ...]]


class ReadUsage(Call[Usage]):
    """Return what a guest has used over the last hours, or without a name the host."""

    wire = "usage_read"
    call_timeout = URGENT

    guest: Line = ""


class Version(Record):
    """The protocol version and the release of a node daemon."""

    protocol: Integer
    release: str


class AskVersion(Call[Version]):
    """Return the software version of a node daemon."""

    wire = "version"
    call_timeout = URGENT


CERTIFICATES = "certificates"
"""A check that Ganeti does not have: expiry (seconds since the epoch) of certificates by path."""


HYPERVISOR_VERSIONS = "hypervisor-versions"
"""A check that Ganeti does not have: versions of hypervisor programs, given with parameters."""


STORAGE_OBSTACLES = "storage-obstacles"
"""A check that Ganeti does not have: reasons why disks of a template cannot work, by template."""


STORAGE_SHORTAGES = "storage-shortages"
"""A check that Ganeti does not have: what storage of templates runs out of, in sentences."""


MISSING_PROGRAMS = "missing-programs"
"""A check that Ganeti does not have: the programs of these names that a node lacks."""


FULL_FILE_SYSTEMS = "full-file-systems"
"""A check that Ganeti does not have: folders of software and logs with less free space than given.

The argument and the answers, by folder, are in MiB.
"""


class VerifyNode(Call[dict[str, JsonValue]]):
    """Verify the node; the answer has a key for each key of ``what``, named as in Ganeti."""

    wire = "node_verify"
    call_timeout = FAST

    what: dict[Key, JsonValue]
    cluster_name: Line


class RunRestrictedCommandCall(Call[str]):
    """Run a restricted command without arguments, see gnt-node(8), and return its output."""

    wire = "restricted_command"
    call_timeout = NO_TIMEOUT  # the administrator's command may take any time
    ends_with_asker = True

    cmd: Text


class CommandResult(Record):
    """The exit code of a command, and its output to both streams."""

    code: Integer
    output: Lines


class RunCommand(Call[CommandResult]):
    """Run a command line in a shell as root, for ``gnt-cluster command``.

    Only the master may call it, and no job does: the tool uses the key of the master's node.
    """

    wire = "run_command"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    command: Text


class CopyFile(Call[None]):
    """Write a copy of a file of the master at ``path`` below the node's root directory.

    ``content`` is base64.
    """

    wire = "copy_file"
    call_timeout = FAST

    path: Text
    content: Line
    mode: Integer


class RunPowerHelper(Call[str]):
    """Run an out-of-band power command for ``remote_node``, and return the program's output.

    It may take ``timeout`` seconds. Such programs run on the master's node only, so other nodes
    reject this call.
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
    """Wait for some seconds."""

    wire = "test_delay"
    call_timeout = URGENT
    ends_with_asker = True

    duration: Number

    def answer_timeout(self) -> float:
        return self.duration + self.call_timeout


class HookResult(Record):
    """The result of a hook script; ``status`` is 0 skipped, 1 failed, 2 succeeded."""

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
    "master-ip-turndown",
    "master-ip-turnup",
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
"""The operations with hooks; administrators name the script directories after them."""

Phase: TypeAlias = Literal["pre", "post"]

HookVariable: TypeAlias = Annotated[str, Meta(pattern=r"\A(GANETI_[^=\x00\n]+|PATH)\Z")]
"""Other variables, such as LD_PRELOAD, could make a script load foreign code."""


def hook_folder(directory: HookDirectory, phase: Phase) -> str:
    """Return the name of the directory with the scripts, which is below that of all hooks."""
    return f"{directory}-{phase}.d"


class RunHooks(Call[list[HookResult]]):
    """Run the scripts of a hook directory and phase, one after the other."""

    wire = "hooks_runner"
    call_timeout = NO_TIMEOUT  # the administrator's scripts may take any time
    ends_with_asker = True

    directory: HookDirectory
    phase: Phase
    environment: dict[HookVariable, Line]


MIN_API_WITH_PARAMETERS = 20
"""The first OS API version with parameters, see ganeti-os-interface(7)."""


class OSDefinitionReport(Record):
    """An OS definition on one node; ``diagnosis`` has the reason if it is not ``valid``."""

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
        """Whether the definition declares its parameters and has a verify script for them."""
        return MIN_API_WITH_PARAMETERS in self.api_versions


class DescribeOSes(Call[list[OSDefinitionReport]]):
    """Return all OS definitions of the node, including invalid ones."""

    wire = "os_diagnose"
    call_timeout = FAST


class ResolvedName(Record):
    """The addresses of a host name, and whether a host answers at one of them."""

    addresses: tuple[str, ...]
    answers: bool = False


class ResolveName(Call[ResolvedName]):
    """Resolve a host name; the answer has no addresses if it is unknown.

    ``probe`` tries the addresses, which takes a second if no host answers.
    """

    wire = "name_resolve"
    call_timeout = URGENT

    name: Text
    probe: bool = False


class ValidateOS(Call[None]):
    """Check parameters with the OS definition's verify script; a failure has its output."""

    wire = "os_validate"
    call_timeout = FAST

    os: Line
    osparams: Parameters
    force_variant: bool = False


class ValidateHypervisor(Call[None]):
    """Check hypervisor parameters on the node, including the files that they name.

    With ``nics`` and a number of ``disks``, check also that these can be attached. ``about`` limits
    the reported problems to these parameters. The version of the hypervisor program must not be
    older than ``minimum_version``.
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
    """Replace the ``ssconf_*`` files; keys are without the prefix."""

    wire = "write_ssconf_files"
    call_timeout = URGENT

    values: dict[Key, Lines]


class UpdateSsconfList(Call[None]):
    """Add lines to a list in an ``ssconf_*`` file, and remove others; it stays in natural order.

    ``digest`` is the SHA-256 of the new content in hexadecimal. The call fails, and changes
    nothing, if the file with these changes has other content.
    """

    wire = "ssconf_list_update"
    call_timeout = URGENT

    key: Key
    added: tuple[Line, ...]
    removed: tuple[Line, ...]
    digest: Line


class UploadFile(Call[None]):
    """Replace one of the files that a master may replace; ``content`` is base64."""

    wire = "upload_file_single"
    call_timeout = URGENT

    path: Text
    content: Line
    mode: Integer


class LeaveCluster(Call[None]):
    """Remove all data of the cluster (certificates, state), and stop the node daemon."""

    wire = "node_leave_cluster"
    call_timeout = URGENT


class RequestCertificate(Call[str]):
    """Generate a new key and return a certificate signing request for it (PEM)."""

    wire = "certificate_request"
    call_timeout = FAST


class UseCertificate(Call[None]):
    """Replace key and certificate by the last generated key and this certificate (PEM)."""

    wire = "certificate_use"
    call_timeout = URGENT

    certificate: Lines


class StopMaster(Call[bool]):
    """Stop the master daemon and the remote API of a node, for a failover to another node.

    Return whether any of them was running. If no other node has become the master within
    ``ganeti.node.membership.HANDOVER_TIMEOUT`` seconds, they are started again.
    """

    wire = "node_stop_master"
    call_timeout = FAST
    callers = CANDIDATES


class ResumeMaster(Call[bool]):
    """Start the master daemon again that was stopped for a failover that did not take place.

    Return whether it was started, which requires that the node has not granted a term to another
    master.
    """

    wire = "node_resume_master"
    call_timeout = FAST
    callers = CANDIDATES
