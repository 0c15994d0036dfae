# SPDX-License-Identifier: BSD-2-Clause
"""Real members of etcd on the loopback device, for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest

from ganeti.bootstrap.etcd_members import CLIENT_PORT, EtcdMember, issue_certificates

STARTING = 30.0
"""Seconds that members may take until they have a leader, on a busy machine."""


class RealEtcd:
    """Members that run until ``stop``; their folder is removed then."""

    def __init__(self, count: int = 1, *, network: int = 0) -> None:
        """``network`` distinguishes the members of one process."""
        if shutil.which("etcd") is None:
            raise SkipTest("there is no etcd: install etcd-server")
        self.folder = Path(tempfile.mkdtemp(prefix="gnt-etcd-"))
        # One network per process, so that several tests can run at a time.
        below = f"127.{16 + os.getpid() % 200}.{(os.getpid() // 200 + network) % 250}"
        self.members = tuple(
            EtcdMember(f"m{n}", f"{below}.{n}", str(self.folder / f"m{n}"))
            for n in range(1, count + 1)
        )
        issued = issue_certificates("test", self.members, time.time())
        self.authority, self.certificate = f"{self.folder}/ca.pem", f"{self.folder}/client.pem"
        Path(self.authority).write_bytes(issued.authority)
        Path(self.certificate).write_bytes(issued.client)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for each in self.members:
            os.mkdir(each.folder)
            Path(each.authority).write_bytes(issued.authority)
            Path(each.certificate).write_bytes(issued.members[each.name])
            self.start(each)
        self.wait()

    @property
    def endpoints(self) -> list[str]:
        return [each.endpoint for each in self.members]

    def start(self, member: EtcdMember) -> None:
        """Start a member."""
        with open(f"{member.folder}/log", "ab") as log:
            self.processes[member.name] = subprocess.Popen(
                member.command(self.members), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, member: EtcdMember) -> None:
        """Kill a member, as a power failure would."""
        process = self.processes.pop(member.name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def wait(self) -> None:
        """Wait until every member accepts connections."""
        until = time.monotonic() + STARTING
        for each in self.members:
            while True:
                try:
                    socket.create_connection((each.address, CLIENT_PORT), 1.0).close()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise AssertionError(Path(f"{each.folder}/log").read_text()) from None
                    time.sleep(0.05)

    def stop(self) -> None:
        """End all members, and remove what they stored."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)
