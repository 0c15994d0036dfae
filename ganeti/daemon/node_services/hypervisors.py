# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisors of a node on the real operating system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping

from twisted.internet.interfaces import IStreamClientEndpoint

from ganeti.bootstrap.daemons import NODED
from ganeti.bootstrap.units import SYSTEMD
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.hypervisor.kvm.qemu_user import Ranges, parse_ranges
from ganeti.paths import Paths
from ganeti.system.descriptors import LocalDescriptors
from ganeti.system.images import LocalImages
from ganeti.system.interfaces import IFiles, IProcesses
from ganeti.system.state_files import LocalStateFiles
from ganeti.system.user_accounts import LocalAccounts


def hypervisors(
    reactor: Reactor, paths: Paths, files: IFiles, processes: IProcesses
) -> Mapping[str, IHypervisor]:
    """Return all hypervisors by name; the cluster decides which of them are enabled."""

    return LazyHypervisors(
        {
            "fake": lambda: FakeHypervisor(LocalStateFiles(f"{paths.run}/fake-hypervisor")),
            "kvm": lambda: _create_kvm(reactor, paths, files, processes),
        }
    )


class LazyHypervisors(Mapping[str, IHypervisor]):
    """Hypervisors that are created when they are first looked up.

    A node uses one or two of them, and each is several megabytes of code.
    """

    def __init__(self, makers: Mapping[str, Callable[[], IHypervisor]]) -> None:
        self._makers = makers
        self._made: dict[str, IHypervisor] = {}

    def __getitem__(self, name: str) -> IHypervisor:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        # The implementation of ``Mapping`` would create it.
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _create_kvm(
    reactor: Reactor, paths: Paths, files: IFiles, processes: IProcesses
) -> IHypervisor:
    from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
    from ganeti.hypervisor.kvm.driver import KvmHypervisor
    from ganeti.hypervisor.kvm.guest_agent import GuestAgents
    from ganeti.hypervisor.kvm.monitor import MonitorConnector

    def endpoint(path: str) -> IStreamClientEndpoint:
        # Import it only when there is a guest: the import takes several megabytes.
        from twisted.internet.endpoints import UNIXClientEndpoint

        return UNIXClientEndpoint(reactor, path)

    run, in_thread = f"{paths.run}/kvm", thread_runner(reactor)
    return KvmHypervisor(
        folder=f"{run}/control",
        notes=LocalStateFiles(f"{run}/guests"),
        files=files,
        processes=processes,
        monitors=MonitorConnector(endpoint, reactor),
        agents=GuestAgents(endpoint, reactor),
        accelerators=AcceleratorSelector(files, processes, LocalStateFiles(f"{run}/verdicts")),
        clock=reactor,
        attach=(sys.executable, _console_program()),
        ganeti=f"{paths.run}/kvm-hypervisor",
        # They must survive a reboot of the node.
        firmware=f"{paths.data}/kvm-firmware",
        keys=paths.data,
        descriptors=LocalDescriptors(in_thread),
        accounts=LocalAccounts(in_thread),
        user_pool=lambda: read_user_pool(paths, files),
        privileged=os.geteuid() == 0,
        images=LocalImages(in_thread),
        scratch=paths.backup_scratch,
        scopes=SYSTEMD.manages(paths, NODED),
    )


def read_user_pool(paths: Paths, files: IFiles) -> Ranges:
    """Return the user IDs for guests as this node knows them."""
    path = f"{paths.data}/ssconf_uid_pool"
    return parse_ranges(files.read(path).decode()) if files.stat(path) is not None else ()


def _console_program() -> str:
    """Return the path of the program that attaches a terminal to a serial console."""
    return __file__.replace("daemon/node_services/hypervisors.py", "hypervisor/kvm/console.py")
