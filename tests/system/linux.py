# SPDX-License-Identifier: BSD-2-Clause
"""What tests need to boot a real guest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SkipTest

_CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
MINI = Path(os.environ.get("GANETI_MINI_GUEST") or f"{_CACHE}/ganeti/mini")
"""Where ``tools/mini_guest`` puts a kernel and an initial RAM disk."""


def require_linux() -> None:
    """Skip a test where there is no QEMU or nothing that it could boot."""
    if shutil.which("qemu-system-x86_64") is None:
        raise SkipTest("there is no qemu-system-x86_64: install qemu-system-x86")
    if not (MINI / "vmlinuz").exists() or not (MINI / "initrd.img").exists():
        raise SkipTest(f"there is no guest to boot in {MINI}: run tools/mini_guest")
