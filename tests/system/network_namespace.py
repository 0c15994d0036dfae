# SPDX-License-Identifier: BSD-2-Clause
"""A network namespace that stands for a node: its bridges, and the tap devices of its guests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from twisted.trial.unittest import SkipTest
from zope.interface import implementer

from ganeti.system.interfaces import IFiles, IProcesses, ProcessInfo, ProcessResult
from tools.quickstart.place import TREE

_OVS_SOCKET = "/run/openvswitch/db.sock"


def require_programs(*names: str) -> None:
    """Skip a test that needs root or programs that are not there."""
    if os.geteuid() != 0:
        raise SkipTest("network namespaces need root")
    if missing := [name for name in names if shutil.which(name) is None]:
        raise SkipTest(f"these programs are not installed: {', '.join(missing)}")


class NetworkNamespace:
    """A namespace, which ``remove`` removes with all that was started in it."""

    def __init__(self) -> None:
        require_programs("ip")
        self.name = f"ganeti{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="ganeti-net-")
        self.environment = ["env", f"OVS_RUNDIR={self.folder}"]
        self.prefix = ["ip", "netns", "exec", self.name, *self.environment]
        self._running: list[subprocess.Popen[str]] = []
        try:
            subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
        except subprocess.CalledProcessError as e:
            shutil.rmtree(self.folder)
            raise SkipTest(f"no network namespaces here: {e.stderr.decode().strip()}") from None
        self.call("ip", "link", "set", "lo", "up")

    def call(self, *argv: str) -> str:
        """Run a program in the namespace; return what it writes.

        :raises AssertionError: it fails.
        """
        ended = self.try_call(*argv)
        if ended.returncode:
            raise AssertionError(f"{' '.join(argv)}: {ended.stderr}")
        return ended.stdout

    def try_call(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, *argv], capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a program in the namespace, which runs until its end."""
        started = subprocess.Popen(
            [*self.prefix, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TREE,
            env={**os.environ, "PYTHONPATH": str(TREE)},
        )
        self._running.append(started)
        return started

    def add_bridge(self, name: str, *options: str) -> None:
        """Create a bridge; skip the test if the kernel has none."""
        ended = self.try_call("ip", "link", "add", name, "type", "bridge", *options)
        if "not supported" in ended.stderr or "Unknown device type" in ended.stderr:
            raise SkipTest("this kernel has no bridges")
        if ended.returncode:
            raise AssertionError(ended.stderr)
        self.call("ip", "link", "set", name, "up")

    def add_switch(self, name: str) -> None:
        """Start Open vSwitch without its kernel module, and create a switch."""
        require_programs("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl")
        database = f"{self.folder}/conf.db"
        schema = "/usr/share/openvswitch/vswitch.ovsschema"
        self.call("ovsdb-tool", "create", database, schema)
        quiet = ("--no-chdir", "-vconsole:off", "-vsyslog:off")
        socket = f"--remote=punix:{self.folder}/db.sock"
        self.call("ovsdb-server", database, socket, "--detach", "--pidfile", *quiet)
        self.call("ovs-vsctl", "--no-wait", "init")
        self.call("ovs-vswitchd", "--detach", "--pidfile", *quiet)
        add = ("--timeout=20", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")
        self.call("ovs-vsctl", *add)

    def remove(self) -> None:
        for running in self._running:
            assert running.stdin is not None and running.stdout is not None
            running.stdin.close()
            running.wait(60)
            running.stdout.close()
        for pidfile in Path(self.folder).glob("*.pid"):
            pid = pidfile.read_text().strip()
            subprocess.run(["ovs-appctl", "-t", self._control(pidfile, pid), "exit"], check=False)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)
        shutil.rmtree(self.folder)

    def _control(self, pidfile: Path, pid: str) -> str:
        return f"{self.folder}/{pidfile.stem}.{pid}.ctl"

    def files(self) -> IFiles:
        """Return the files of the node, as far as tap devices need them."""
        return cast(IFiles, _NamespaceFiles(self))

    def processes(self) -> IProcesses:
        """Return what runs programs of the node and waits for their ends on the spot."""
        return _NamespaceProcesses(self)


class _NamespaceFiles:
    """Its ``/sys``, which is that of the process that looks, and the socket of its switch."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        self._namespace = namespace

    def _place(self, path: str) -> str:
        return f"{self._namespace.folder}/db.sock" if path == _OVS_SOCKET else path

    def stat(self, path: str) -> object | None:
        found = self._namespace.try_call("test", "-e", self._place(path)).returncode == 0
        return SimpleNamespace() if found else None

    def read(self, path: str) -> bytes:
        ended = self._namespace.try_call("cat", path)
        if ended.returncode:
            raise FileNotFoundError(path)
        return ended.stdout.encode()


@implementer(IProcesses)
class _NamespaceProcesses:
    def __init__(self, namespace: NetworkNamespace) -> None:
        self._namespace = namespace

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
        name = self._namespace.name
        ended = subprocess.run(  # noqa: ASYNC221
            # Without a mount namespace, so that namespaces that it creates can be found.
            ["nsenter", f"--net=/run/netns/{name}", *self._namespace.environment, *argv],
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        return ProcessResult(ended.returncode, ended.stdout, ended.stderr)

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        raise NotImplementedError

    def process_info(self, pid: int) -> ProcessInfo | None:
        raise NotImplementedError

    def arguments(self, pid: int) -> list[str]:
        raise NotImplementedError

    def kill(self, pid: int, signal: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal)


class Cards:
    """What guests do: send and receive frames at their tap devices."""

    def __init__(self, namespace: NetworkNamespace, *devices: str) -> None:
        self._program = namespace.start(sys.executable, "-m", "tests.system.frames", *devices)
        assert self._program.stdout is not None
        self._output = self._program.stdout
        if self._output.readline() != "ready\n":
            raise AssertionError("the devices cannot be opened")

    def send(
        self, device: str, frame: bytes, expected: int = 0, times: int = 1
    ) -> list[tuple[str, bytes]]:
        """Send a frame so many ``times``, and wait until it came out of so many devices.

        Return all frames that then came out, with their devices.
        """
        assert self._program.stdin is not None
        with suppress(BrokenPipeError):
            self._program.stdin.write(json.dumps([device, frame.hex(), expected, times]) + "\n")
            self._program.stdin.flush()
        return [
            (each, bytes.fromhex(content)) for each, content in json.loads(self._output.readline())
        ]
