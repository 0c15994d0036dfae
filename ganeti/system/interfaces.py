# SPDX-License-Identifier: BSD-2-Clause
"""What the rest of the software asks of the operating system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zope.interface import Attribute, Interface


@dataclass(frozen=True)
class Stat:
    """What is known of a file: size in bytes, times in seconds, mode bits, whether a folder.

    ``owner`` and ``group`` are the numbers of those it belongs to.
    """

    size: int
    mtime: float
    mode: int
    folder: bool
    owner: int
    group: int


class ILog(Interface):
    """A file that only grows at its end; one call at a time."""

    async def write(data: bytes) -> None:
        """Append ``data`` and make it durable (fdatasync) before returning.

        :raises OSError: nothing is known of what reached the disk; ``truncate`` before going on.
        """

    async def truncate(size: int) -> None:
        """Cut the file to ``size`` bytes, durably."""

    async def close() -> None:
        """Give the file back."""


class IFiles(Interface):
    """Files of this host. What blocks runs in a thread; ``OSError`` says what went wrong.

    Paths are absolute. ``read``, ``names`` and ``stat`` are for start-up and small files and
    answer at once.
    """

    def read(path: str) -> bytes:
        """The whole content."""

    def names(folder: str) -> list[str]:
        """The names in a folder, sorted; none if there is no such folder."""

    def stat(path: str) -> Stat | None:
        """What is known of ``path``; None if there is nothing."""

    async def replace(path: str, content: bytes, *, mode: int = 0o640) -> None:
        """Write a file as a whole, atomically and durably: new content or old, never a mixture."""

    async def replace_all(contents: Mapping[str, bytes], *, mode: int = 0o640) -> None:
        """``replace`` several files, syncing each folder once; each file alone is atomic."""

    async def rename(old: str, new: str) -> None:
        """Move a file durably, replacing what has the new name; or a folder, which replaces none.

        :raises OSError: there is a folder of the new name that is not empty.
        """

    async def remove(path: str) -> None:
        """Remove a file; removing one that is not there succeeds."""

    async def remove_folder(path: str) -> None:
        """Remove a folder with all that is in it; removing one that is not there succeeds."""

    async def make_folder(path: str, *, mode: int = 0o750) -> None:
        """Make a folder and its parents; one that is there is left as it is."""

    async def open_log(path: str, *, mode: int = 0o640) -> ILog:
        """Open, or durably create, a file to append to.

        What is in it is durable when this returns, whoever has written it: a process that was
        killed while it wrote may have left bytes, or a new name, which only the page cache has.
        """

    async def sync_folder(path: str) -> None:
        """Make the names in a folder durable, as a process that was killed may have left them."""


class INotes(Interface):
    """Small notes by name that outlive this daemon but not this host: what runs, and where.

    Every method is a few system calls and answers at once. ``OSError`` says what went wrong.
    """

    def put(name: str, content: bytes) -> None:
        """Keep a note under any ``name``, replacing the one before; whole or not at all."""

    def remove(name: str) -> None:
        """Forget a note; forgetting one that is not there succeeds."""

    def all() -> dict[str, bytes]:
        """Every note by its name."""


class INames(Interface):
    """Host names, and what is behind their addresses, as this host sees it."""

    async def addresses(name: str) -> list[str]:
        """The addresses of a host name; none if there is no such name.

        :raises Failed: nobody could be asked.
        """

    async def in_use(address: str) -> bool:
        """Whether a host answers at ``address`` within a second, be it by a refusal."""


@dataclass(frozen=True)
class ProcessResult:
    """A process that has ended: exit code (negative: minus the signal), and what it wrote."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class ProcessLifetime:
    """A process that is there; ``identity`` tells it from a later one of the same pid."""

    identity: str
    cpu_seconds: float


class IProcesses(Interface):
    """Programs of this host, each in a session of its own."""

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
        """Run a program until it exits; cancelling kills its whole process group.

        The environment is exactly ``env``, or a minimal PATH. What it left running in the
        background is not waited for. Of each stream only the last ``OUTPUT_LIMIT`` bytes are
        kept. With ``output``, both streams are appended to that file and ``out`` holds the last
        ``TAIL`` bytes of what this run wrote; a file that is left empty is removed.

        ``files`` are further descriptors of the process by number: a path is opened (0 for
        reading, others for writing from the start), a number is an open descriptor of ours. They
        come before ``stdin``, ``output`` and the collected streams.

        ``cwd`` is its working directory, by default that of this daemon.

        :raises Failed: it cannot be started, or did not end within ``timeout`` seconds and was
            killed with its process group.
        """

    async def start(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        """Start a program that outlives this daemon; answer its pid.

        :raises Failed: it cannot be started.
        """

    def life(pid: int) -> ProcessLifetime | None:
        """What is known of a process; None if there is none, or only a zombie."""

    def arguments(pid: int) -> list[str]:
        """How a process was called; nothing if there is none."""

    def kill(pid: int, signal: int) -> None:
        """Send a signal; to a process that is gone does nothing."""


OUTPUT_LIMIT = 4 << 20
TAIL = 4096
MINIMAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class FileSystemSpace:
    """Room in a file system, in bytes: in all, and what is still to be had."""

    size: int
    free: int


class IImages(Interface):
    """Disk images: large files that are mostly holes, and the folders they are in.

    What blocks runs in a thread; ``OSError`` says what went wrong. Sizes are bytes.
    """

    def resolve(path: str) -> str:
        """``path`` with every symbolic link followed, whether or not anything is there."""

    def size(path: str) -> int | None:
        """The size of a regular file; None if there is none. Answers at once."""

    async def create(path: str, size: int) -> None:
        """Make a file of ``size`` zeros that takes no room yet, durably, with its folder.

        :raises FileExistsError: something is there; it is left as it is.
        """

    async def resize(path: str, size: int) -> None:
        """Make a file longer, durably."""

    async def rename(old: str, new: str) -> None:
        """Move a file durably, making the new folder.

        :raises FileExistsError: something has the new name.
        """

    async def remove(path: str, *, within: str) -> None:
        """Remove a file durably, and the folders below ``within`` that it leaves empty.

        Removing one that is not there succeeds.
        """

    async def zero(path: str, offset: int, size: int) -> None:
        """Write zeros over a part of a file or block device that is there, durably."""

    async def below(folder: str) -> dict[str, int]:
        """The sizes of all regular files below a folder, by path; none if it is not there."""

    async def space(folder: str) -> FileSystemSpace:
        """The room in the file system that ``folder`` is in, or would be made in."""


@dataclass(frozen=True)
class StreamPeer:
    """Who we are to a peer of a transfer, and whom we expect.

    ``key`` and ``certificate`` are PEM files of ours; ``trusted`` is the PEM text of all
    certificates that may vouch for the peer, ``name`` whom the peer's must name, if given.
    ``accepted`` are the SHA-256 digests, in hex, of the certificates that the peer may show; None
    leaves it at what is trusted.
    """

    key: str
    certificate: str
    trusted: str
    name: str | None = None
    accepted: frozenset[str] | None = None


@dataclass(frozen=True)
class FileEnd:
    """A file or block device; ``create`` makes it anew. A sink takes at most ``room`` bytes."""

    path: str
    create: bool = False
    room: int | None = None


@dataclass(frozen=True)
class PipeEnd:
    """An end of a pipe; it stays the caller's to close."""

    descriptor: int


@dataclass(frozen=True)
class Awaited:
    """A peer that connects to ``listening`` within ``patience`` seconds and says ``greeting``.

    Others that connect, or do not say that first, are turned away, and waiting goes on.
    """

    listening: IListening
    party: StreamPeer
    greeting: bytes
    patience: float


@dataclass(frozen=True)
class StreamCaller:
    """A peer that listens; each of ``tries`` to connect takes at most ``patience`` seconds."""

    host: str
    port: int
    party: StreamPeer
    greeting: bytes
    patience: float
    tries: int


@dataclass(frozen=True)
class Flowing:
    """How far a flow is: whether its peer is connected, and bytes moved."""

    connected: bool
    moved: int


class IListening(Interface):
    """A port at which one peer is awaited."""

    port: int = Attribute("The number of the port.")

    def close() -> None:
        """Listen no more; closing twice succeeds."""


class IFlow(Interface):
    """Bytes on their way from one end to another, from when it was begun."""

    def progress() -> Flowing:
        """How far it is; answers at once."""

    async def ended() -> None:
        """Return when everything has arrived at the sink; what is in a file is durable.

        A peer as the sink has said that it is so, too (``finish``).

        :raises Failed: the flow ended before; the peer knows by a connection that breaks.
        """

    def finish(*, well: bool) -> None:
        """Tell an ``Awaited`` peer, who waits for it, that all went ``well``, or else leave it.

        To be called once after ``ended`` has returned; other flows need it not.
        """

    def stop() -> None:
        """Let the flow fail as soon as may be; one that has ended stays as it is."""


class IStreams(Interface):
    """Large amounts of data on their way; nothing here waits in the caller's thread."""

    def listen(address: str) -> IListening:
        """Listen at a free port of an address of this host.

        :raises OSError: the address is not one of this host's.
        """

    def pipe() -> tuple[int, int]:
        """A new pipe: the end to read from, and the end to write to."""

    def waiting(descriptor: int) -> bytes:
        """The next few bytes that were written to a pipe; none if there are none yet."""

    def close(descriptor: int) -> None:
        """Close an end of a pipe."""

    def begin(source: FileEnd | PipeEnd | Awaited, sink: FileEnd | PipeEnd | StreamCaller) -> IFlow:
        """Begin to move everything there is from ``source`` to ``sink``."""
