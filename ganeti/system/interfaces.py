# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces of the operating system."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zope.interface import Attribute, Interface


@dataclass(frozen=True)
class Stat:
    """The attributes of a file: size in bytes, mtime in seconds, permission bits, whether it is a
    directory.

    ``owner`` and ``group`` are numeric IDs; ``device`` is whether it is a block device.
    """

    size: int
    mtime: float
    mode: int
    folder: bool
    owner: int
    group: int
    device: bool = False


class ILog(Interface):
    """A file that is only appended to; one call at a time."""

    async def write(data: bytes) -> None:
        """Append ``data`` and make it durable (fdatasync) before returning.

        :raises OSError: what reached the disk is unknown; call ``truncate`` before the next write.
        """

    async def truncate(size: int) -> None:
        """Truncate the file to ``size`` bytes, durably."""

    async def close() -> None:
        """Close the file."""


class IFolderLock(Interface):
    """The lock of a directory, which also ends with this process."""

    def unlock() -> None:
        """Let others lock the directory."""


class IFiles(Interface):
    """Files of this host. Blocking operations run in a thread; errors are ``OSError``.

    Paths are absolute. ``read``, ``names`` and ``stat`` are synchronous, for start-up and small
    files.
    """

    def read(path: str) -> bytes:
        """Return the whole content."""

    def names(folder: str) -> list[str]:
        """Return the sorted names in a directory; empty if it does not exist."""

    def stat(path: str) -> Stat | None:
        """Return the attributes of ``path``; None if it does not exist."""

    def lock_folder(path: str) -> IFolderLock | None:
        """Lock a directory for writes below it; None if it is locked, also by this process.

        Synchronous, in three system calls. The lock says nothing to those that do not ask for it.
        """

    async def replace(path: str, content: bytes, *, mode: int = 0o640) -> None:
        """Replace the content of a file atomically and durably."""

    async def replace_all(contents: Mapping[str, bytes], *, mode: int = 0o640) -> None:
        """``replace`` several files, syncing each directory once; each single file is atomic."""

    async def rename(old: str, new: str) -> None:
        """Rename a file durably, replacing an existing one; or a directory, which must not exist.

        :raises OSError: if a non-empty directory has the new name.
        """

    async def remove(path: str) -> None:
        """Remove a file; succeed if it does not exist."""

    async def remove_folder(path: str) -> None:
        """Remove a directory and its content; succeed if it does not exist."""

    async def make_folder(path: str, *, mode: int = 0o750) -> None:
        """Create a directory and its parents; an existing one is not changed."""

    async def open_log(path: str, *, mode: int = 0o640) -> ILog:
        """Open, or durably create, a file to append to.

        Its content is durable when this returns, also that of other processes: what a
        process has written that was killed may be in the page cache only.
        """

    async def sync_folder(path: str) -> None:
        """Make the names in a directory durable, which a killed process may have left unsynced."""


class IStateFiles(Interface):
    """Small records by name that survive this daemon but not a crash of the host: what runs, and
    where.

    All methods are synchronous and take a few system calls; errors are ``OSError``.
    """

    def put(name: str, content: bytes) -> None:
        """Write a record under any ``name``, replacing an existing one atomically."""

    def remove(name: str) -> None:
        """Remove a record; succeed if it does not exist."""

    def read_all() -> dict[str, bytes]:
        """Return all records by name."""


class FileAccess(enum.Enum):
    """What a file is opened for; ``EMPTY`` creates it with mode 0600, or empties it."""

    READ = "read"
    READ_WRITE = "read and write"
    EMPTY = "empty"


class IDescriptors(Interface):
    """Opens files and devices for other processes, which may not open them; errors are ``OSError``.

    A descriptor stays open in this process until it is closed, and is not inherited by programs.
    """

    async def open_file(path: str, access: FileAccess) -> int:
        """Return a descriptor of a file or device, or for reading of a directory."""

    async def listen_unix(path: str) -> int:
        """Return a Unix socket that listens at ``path``, for this user alone; nothing is there."""

    async def open_tap(name: str, *, multi_queue: bool, vnet_hdr: bool) -> int:
        """Return a queue of an existing tap device; with ``multi_queue``, it can have several.

        With ``vnet_hdr``, packets have a header in front of them, for offloading.
        """

    def close(descriptor: int) -> None:
        """Close a descriptor in this process."""


@dataclass(frozen=True)
class HostUser:
    """A user of this host, and its primary group, by number."""

    user: int
    group: int


class IAccounts(Interface):
    """The users of this host."""

    async def find(name: str) -> HostUser | None:
        """Return a user by name; None if there is none."""

    async def find_by_id(user: int) -> HostUser | None:
        """Return a user by number; None if no account has it."""


class IHostNames(Interface):
    """Host names and addresses, as this host sees them."""

    async def addresses(name: str) -> list[str]:
        """Return the addresses of a host name; empty if it does not exist.

        :raises Failed: if the lookup itself failed.
        """

    async def in_use(address: str) -> bool:
        """Return whether a host answers at ``address`` within a second, even with a refusal."""


@dataclass(frozen=True)
class ProcessResult:
    """The result of a process: exit code, or the negative signal number, and its output."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class ProcessInfo:
    """An existing process; ``identity`` distinguishes it from a later one with the same pid."""

    identity: str
    cpu_seconds: float


class IProcesses(Interface):
    """Runs programs on this host, each in its own session."""

    async def run(
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        output: str | None = None,
        files: Mapping[int, str | int] | None = None,
        cwd: str | None = None,
    ) -> ProcessResult:
        """Run a program until it exits; cancellation kills its whole process group.

        The environment is exactly ``env``, or a minimal PATH. Processes that it leaves in the
        background are not waited for. Only the last ``OUTPUT_LIMIT`` bytes of each stream are kept.
        With ``output``, both streams are appended to that file, and ``out`` contains the last
        ``TAIL`` bytes that this run wrote; an empty file is removed.

        ``files`` are further descriptors of the process by number: a path is opened (0 for reading,
        others for writing from the start), a number is an open descriptor of this process. They
        override ``stdin``, ``output`` and the collected streams.

        ``cwd`` is its working directory; by default that of this daemon.

        :raises Failed: if it cannot be started, or did not end within ``timeout`` seconds and was
            killed with its process group.
        """

    async def start(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        """Start a program that outlives this daemon; return its pid.

        :raises Failed: if it cannot be started.
        """

    def process_info(pid: int) -> ProcessInfo | None:
        """Return information about a process; None if it does not exist or is a zombie."""

    def arguments(pid: int) -> list[str]:
        """Return the command line of a process; empty if it does not exist."""

    def kill(pid: int, signal: int) -> None:
        """Send a signal to a process; do nothing if it has ended."""


OUTPUT_LIMIT = 4 << 20
TAIL = 4096
MINIMAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class FileSystemSpace:
    """The space of a file system in bytes: total, and available."""

    size: int
    free: int


@dataclass(frozen=True)
class BlockDevice:
    """A block device: its path without symbolic links, and its size in bytes.

    ``claimed`` is whether this host uses it: as a file system, swap space, or part of another
    device, such as a volume group or a RAID array.
    """

    path: str
    size: int
    claimed: bool = False


class IImages(Interface):
    """Disk images: large sparse files, and the directories that contain them; and block devices.

    Blocking operations run in a thread; errors are ``OSError``. Sizes are in bytes.
    """

    def resolve(path: str) -> str:
        """Return ``path`` with all symbolic links resolved; it need not exist."""

    def size(path: str) -> int | None:
        """Return the size of a regular file; None if it does not exist. Synchronous."""

    def read_start(path: str, size: int) -> bytes:
        """Return the first ``size`` bytes of a file, fewer of a smaller one. Synchronous."""

    async def describe_device(path: str) -> BlockDevice | None:
        """Return the block device at ``path``, links followed; None if there is none."""

    async def create(path: str, size: int) -> None:
        """Create a sparse file of ``size`` durably, with its directory.

        :raises FileExistsError: if the path exists; it is not changed.
        """

    async def resize(path: str, size: int) -> None:
        """Grow a file, durably."""

    async def rename(old: str, new: str) -> None:
        """Rename a file durably, creating the new directory.

        :raises FileExistsError: if the new name exists.
        """

    async def remove(path: str, *, within: str) -> None:
        """Remove a file durably, and the directories below ``within`` that become empty.

        Succeed if it does not exist.
        """

    async def zero(path: str, offset: int, size: int) -> None:
        """Overwrite a part of an existing file or block device with zeros, durably."""

    async def copy_differences(source: str, target: str) -> None:
        """Make the data of ``target`` those of ``source``, durably; both are devices or files.

        Only what differs is written. The target must be as large as the source.
        """

    async def below(folder: str) -> dict[str, int]:
        """Return the sizes of all regular files below a directory, by path; empty if it does not
        exist."""

    async def space(folder: str) -> FileSystemSpace:
        """Return the space of the file system that contains ``folder``, or would contain it."""


@dataclass(frozen=True)
class StreamPeer:
    """The identity of this end of a transfer, and what is expected of the peer.

    ``key`` and ``certificate`` are paths of PEM files of this end; ``trusted`` is PEM text with the
    CA certificates for the peer, ``name`` the name that the peer's certificate must contain, if
    given. ``accepted`` are the SHA-256 digests, in hex, of the certificates that the peer may show;
    None accepts all trusted ones.
    """

    key: str
    certificate: str
    trusted: str
    name: str | None = None
    accepted: frozenset[str] | None = None


@dataclass(frozen=True)
class FileEndpoint:
    """A file or block device; ``create`` creates or truncates it. A sink accepts at most ``room``
    bytes. A source that may be from an untrusted user does not ``follow`` a symbolic link."""

    path: str
    create: bool = False
    room: int | None = None
    follow: bool = True


@dataclass(frozen=True)
class PipeEndpoint:
    """An end of a pipe; the caller remains responsible for closing it."""

    descriptor: int


@dataclass(frozen=True)
class ListeningEndpoint:
    """A peer that connects to ``listening`` within ``patience`` seconds and sends ``greeting``.

    Other connections, and those with another greeting, are rejected, and the wait continues.
    """

    listening: IListening
    party: StreamPeer
    greeting: bytes
    patience: float


@dataclass(frozen=True)
class ConnectingEndpoint:
    """A peer that listens; each of ``tries`` connection attempts takes at most ``patience``
    seconds."""

    host: str
    port: int
    party: StreamPeer
    greeting: bytes
    patience: float
    tries: int


@dataclass(frozen=True)
class TransferProgress:
    """The progress of a flow: whether its peer is connected, and the bytes moved."""

    connected: bool
    moved: int


class IListening(Interface):
    """A listening port for one peer."""

    port: int = Attribute("The port number.")

    def close() -> None:
        """Stop listening; idempotent."""


class ITransfer(Interface):
    """A transfer of bytes from one end to another, which has been started."""

    def progress() -> TransferProgress:
        """Return the progress; synchronous."""

    async def ended() -> None:
        """Return when everything has arrived at the sink; the data of a file is durable.

        If the sink is a peer, it has confirmed that (``finish``).

        :raises Failed: if the flow ended early; the peer sees a broken connection.
        """

    def finish(*, well: bool) -> None:
        """Confirm that all is ``well`` to a ``ListeningEndpoint`` peer, or disconnect it.

        Call it once after ``ended`` has returned; other flows do not need it.
        """

    def stop() -> None:
        """Cancel the flow as soon as possible; do nothing if it has ended."""


class IStreams(Interface):
    """Transfers of large amounts of data; no method blocks the calling thread."""

    def listen(address: str) -> IListening:
        """Listen on a free port of an address of this host.

        :raises OSError: if the address is not one of this host.
        """

    def pipe() -> tuple[int, int]:
        """Create a pipe; return the descriptors of its read end and its write end."""

    def waiting(descriptor: int) -> bytes:
        """Return the next bytes that were written to a pipe, without waiting; empty if there are
        none."""

    def close(descriptor: int) -> None:
        """Close an end of a pipe."""

    def start_transfer(
        source: FileEndpoint | PipeEndpoint | ListeningEndpoint,
        sink: FileEndpoint | PipeEndpoint | ConnectingEndpoint,
    ) -> ITransfer:
        """Start to move all data from ``source`` to ``sink``."""
