# SPDX-License-Identifier: BSD-2-Clause
"""What virtual machines need that the fake hypervisor does not: QEMU, and a Linux to boot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ganeti.config.initial_state import default_hvparams
from ganeti.errors import Code, Refused
from tools.quickstart.place import TREE

QEMU = "qemu-system-x86_64"
PACKAGES = "qemu-system-x86"

_TIMEOUT = 900.0


def require_qemu() -> str:
    """The path of QEMU, which is installed if it is missing and this user may.

    :raises Refused: it is missing, and what to do.
    """
    if shutil.which(QEMU) is None and os.getuid() == 0:
        script = f". {TREE}/set-up.sh; set_up_packages {PACKAGES}"
        subprocess.run(["bash", "-c", script], timeout=_TIMEOUT)
    found = shutil.which(QEMU)
    if found is None:
        raise Refused(
            f"there is no {QEMU}: as root, apt-get install --no-install-recommends {PACKAGES};"
            " or use --hypervisor fake, which needs nothing",
            Code.ENVIRONMENT,
        )
    return found


def fetch_linux(folder: Path) -> tuple[Path, Path]:
    """A kernel and its initial RAM disk, downloaded if they are not in ``folder`` already.

    :raises Refused: they cannot be had, and what to do.
    """
    kernel, initrd = folder / "vmlinuz", folder / "initrd.img"
    if kernel.exists() and initrd.exists():
        return kernel, initrd
    done = _mini_guest(folder)
    if done.returncode != 0 and os.getuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, timeout=_TIMEOUT)
        done = _mini_guest(folder)
    if done.returncode != 0:
        raise Refused(done.stderr.strip().rpartition("\n")[2], Code.ENVIRONMENT)
    return kernel, initrd


def _mini_guest(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TREE / "tools/mini_guest"), str(folder)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )


def settings(qemu: str, kernel: Path, initrd: Path) -> dict[str, Any]:
    """The hypervisor parameters of a cluster whose instances boot this Linux, unprivileged."""
    every = default_hvparams()
    return {
        **every,
        "kvm": {
            **every["kvm"],
            "kvm_path": qemu,
            "kvm_accel": "auto",
            "kvm_net": "user",
            "kvm_forward_ports": "22",
            "kernel_path": str(kernel),
            "initrd_path": str(initrd),
            "kernel_args": "ro quiet",
        },
    }
