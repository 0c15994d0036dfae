# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisors of a node, put together on the real operating system."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint

from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.hypervisor.kvm.accelerator import Accelerators
from ganeti.hypervisor.kvm.control import Monitors
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles, IProcesses
from ganeti.system.notes import LocalNotes


def hypervisors(
    reactor: Any, paths: Paths, files: IFiles, processes: IProcesses
) -> Mapping[str, IHypervisor]:
    """Every hypervisor by its name; which of them are used is the cluster's to say."""

    def endpoint(path: str) -> IStreamClientEndpoint:
        # Not before there is a guest to talk to: this import alone costs some megabytes.
        from twisted.internet.endpoints import UNIXClientEndpoint

        return UNIXClientEndpoint(reactor, path)

    run = f"{paths.run}/kvm"
    return {
        "fake": FakeHypervisor(LocalNotes(f"{paths.run}/fake-hypervisor")),
        "kvm": KvmHypervisor(
            folder=f"{run}/control",
            notes=LocalNotes(f"{run}/guests"),
            files=files,
            processes=processes,
            monitors=Monitors(endpoint, reactor),
            accelerators=Accelerators(files, processes, LocalNotes(f"{run}/verdicts")),
            clock=reactor,
            attach=(sys.executable, _console_program()),
        ),
    }


def _console_program() -> str:
    """The file of the program that attaches a terminal to a serial console."""
    return __file__.replace("daemon/hypervisors.py", "hypervisor/kvm/console.py")
