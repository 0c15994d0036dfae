# SPDX-License-Identifier: BSD-2-Clause
"""The whole life of a ``ganeti-watchdog`` without a device, to see which modules it needs.

``GANETI_ROOTDIR`` is an empty folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from threading import Thread

import msgspec

from ganeti.daemon.process.host_clock import lease_notes, read_boot_id
from ganeti.daemon.watchdogd import main
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord
from ganeti.hypervisor.kvm.runtime_paths import places
from ganeti.node.guest_lease import LEASE_NOTE, WATCHDOG_NOTE, LeaseNote
from ganeti.paths import Paths, local_paths
from ganeti.system.state_files import LocalStateFiles

TIMEOUT = 60.0
"""Seconds that a step may take on a busy machine."""


def live() -> None:
    """Run the watchdog until it has watched a lease, and has killed a guest after its end."""
    paths = local_paths()
    assert paths.root, "this would be the watchdog of this host"
    with _start_guest(paths) as guest:
        Thread(target=_let_lease_end, args=(paths, guest), daemon=True).start()
        assert main(["--foreground"]) == 0
    assert guest.returncode == -signal.SIGKILL


def _start_guest(paths: Paths) -> subprocess.Popen[bytes]:
    control = f"{paths.run}/kvm/control"
    os.makedirs(control)
    pid = places(control, "web1").pid
    command = ["sh", "-c", "read -r nothing", "qemu", "-pidfile", pid]
    guest = subprocess.Popen(command, stdin=subprocess.PIPE)
    Path(pid).write_text(str(guest.pid))
    record = GuestRecord(name="web1", memory=1, vcpus=1, place=GuestPhase.STARTING)
    LocalStateFiles(f"{paths.run}/kvm/guests").put("web1", msgspec.json.encode(record))
    return guest


def _let_lease_end(paths: Paths, guest: subprocess.Popen[bytes]) -> None:
    notes, began = lease_notes(paths), time.monotonic()
    for end in (1e9, 0.0):
        note = LeaseNote(boot_id=read_boot_id(), protected=True, end=end)
        notes.put(LEASE_NOTE, msgspec.json.encode(note))
        before = notes.read_all().get(WATCHDOG_NOTE)
        while notes.read_all().get(WATCHDOG_NOTE) == before or (not end and guest.poll() is None):
            if time.monotonic() - began > TIMEOUT:
                break
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
