# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that QEMU emulates, whose kernel has the device-mapper and DRBD.

Their root is that of this host, read-only, with an overlay in memory: programs that are installed
here run there, on virtual disks. Drivers run here, and their programs there. A node goes on until
this process ends, so that all tests of a module share its boot.
"""

from __future__ import annotations

import atexit
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest
from zope.interface import implementer

from ganeti.system.interfaces import IProcesses, ProcessInfo, ProcessResult, Stat
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from tests.system.emulated_machine import KERNEL_OPTIONS, TIMEOUT, Machine, require_emulator
from tests.system.linux import MINI

INITRD = MINI / "host" / "node.img"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
MIB = 1 << 20

_END = "-- end of output --"


def require_virtual_node(*programs: str) -> None:
    """Skip a test where no node can be emulated, or one of its programs is not installed."""
    require_emulator(INITRD)
    if missing := [name for name in programs if shutil.which(name) is None]:
        raise SkipTest(f"these programs are not installed: {', '.join(missing)}")


class VirtualNode:
    """A node with the sizes of its ``disks`` in MiB: ``/dev/vda``, and so on.

    With an ``address`` it is on a network with the ``peer`` at another. ``network`` is a folder
    for the sockets that are their wire.
    """

    def __init__(
        self,
        *,
        disks: Sequence[int],
        address: str = "",
        peer: str = "",
        network: Path = Path(),
        memory: int = 384,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ganeti-node-"))
        atexit.register(self.close)
        self._disks, self._memory = disks, memory
        self._wire = (address, network / address, network / peer) if address else None
        self._received = b""
        self._machine = Machine(self._options)
        # Answers when the shell is there.
        self.call("true")

    def close(self) -> None:
        """End the node, and remove its disks; to repeat this does nothing."""
        atexit.unregister(self.close)
        if hasattr(self, "_machine"):
            self._machine.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] = ENVIRONMENT,
        stdin: bytes = b"",
        timeout: float = TIMEOUT,
    ) -> ProcessResult:
        """Run a program in the node until its end, which is within ``timeout`` seconds."""
        self._machine.port.settimeout(timeout)
        assert not stdin, "programs in a virtual node get no input"
        command = [
            *(f"{name}={shlex.quote(value)}" for name, value in env.items()),
            shlex.join(argv),
        ]
        # Each process of the shell would cost a tenth of a second of processor time.
        self._machine.port.sendall(
            f'{" ".join(command)} </dev/null 2>/run/err; echo "{_END}$?"; '
            f"[ ! -s /run/err ] || cat /run/err; echo {_END}\n".encode()
        )
        out, code, err = self._read_until(_END), self._read_until("\n"), self._read_until(_END)
        self._read_until("\n")
        return ProcessResult(_get_code(int(code)), out, err)

    def call(self, script: str) -> str:
        """Return what a script of the shell prints; it must succeed."""
        ended = self.run(("sh", "-ec", script))
        assert ended.code == 0, (script, ended)
        return ended.out.decode().strip()

    def set_link(self, *, up: bool) -> None:
        """Connect or cut the network card."""
        self._machine.ask("set_link", name="net", up=up)

    def _read_until(self, mark: str) -> bytes:
        while mark.encode() not in self._received:
            self._receive()
        before, _, self._received = self._received.partition(mark.encode())
        return before

    def _receive(self) -> None:
        try:
            received = self._machine.port.recv(1 << 16)
        except TimeoutError:
            raise AssertionError(f"the node does not answer: {self._read_console()}") from None
        assert received, f"the node has ended: {self._read_console()}"
        self._received += received

    def _read_console(self) -> str:
        return (self._folder / "console").read_text(errors="replace")[-2000:]

    def _options(self, shell: str) -> list[str]:
        options = [
            *("-accel", "tcg,tb-size=128", "-m", str(self._memory), "-initrd", str(INITRD)),
            *("-serial", f"file:{self._folder}/console", "-no-reboot"),
            *("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=shell,{_as_chardev(shell)}"),
            *("-device", "virtserialport,chardev=shell,name=shell"),
        ]
        for number, size in enumerate(self._disks):
            image = self._folder / f"disk{number}"
            with image.open("wb") as file:
                file.truncate(size * MIB)
            drive = f"if=none,id=disk{number},file={image},format=raw,cache=unsafe"
            options += ["-drive", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]
        kernel = KERNEL_OPTIONS
        if self._wire is not None:
            address, here, there = self._wire
            sockets = f"local.type=unix,local.path={here},remote.type=unix,remote.path={there}"
            mac = "52:54:00:" + ":".join(f"{int(part):02x}" for part in address.split(".")[1:])
            options += ["-netdev", f"dgram,id=net,{sockets}"]
            options += ["-device", f"virtio-net-pci,netdev=net,romfile=,mac={mac},host_mtu=9000"]
            kernel += f" ip={address}/24"
        return [*options, "-append", kernel]


def _as_chardev(socket: str) -> str:
    """Return the option of a socket in the words of ``-chardev``."""
    return socket.replace("unix:", "path=", 1)


def _get_code(status: int) -> int:
    """Return the exit code of a status of the shell: a signal is a negative number."""
    return 128 - status if status > 128 else status


@implementer(IProcesses)
class NodeProcesses:
    """The programs of a virtual node; each is waited for on the spot."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        output: str | None = None,
        files: Mapping[int, str | int] | None = None,
        cwd: str | None = None,
    ) -> ProcessResult:
        return self._node.run(argv, env=env or ENVIRONMENT, stdin=stdin)

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        raise NotImplementedError

    def process_info(self, pid: int) -> ProcessInfo | None:
        raise NotImplementedError

    def arguments(self, pid: int) -> list[str]:
        raise NotImplementedError

    def kill(self, pid: int, signal: int) -> None:
        raise NotImplementedError


class NodeFiles(MemoryFiles):
    """The files of a virtual node's kernel, as far as drivers read them."""

    def __init__(self, node: VirtualNode) -> None:
        super().__init__(MemoryDisk())
        self._node = node

    def read(self, path: str) -> bytes:
        """Return what the kernel says."""
        return self._node.run(("cat", path)).out

    def stat(self, path: str) -> Stat | None:
        """Return whether there is such a file, and nothing else."""
        if self._node.run(("test", "-e", path)).code:
            return None
        return Stat(size=0, mtime=0.0, mode=0o444, folder=False, owner=0, group=0)


class NodeImages(MemoryImages):
    """The devices of a virtual node, as far as the drivers of logical volumes use them."""

    def __init__(self, node: VirtualNode) -> None:
        super().__init__()
        self._node = node

    async def copy_differences(self, source: str, target: str) -> None:
        """Copy everything, which has the same result."""
        self._node.call(f"dd if={source} of={target} bs=1M conv=notrunc,fsync")
