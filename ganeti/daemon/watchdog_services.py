# SPDX-License-Identifier: BSD-2-Clause
"""The services of the watchdog on the real operating system."""

from __future__ import annotations

from argparse import Namespace

from ganeti.daemon.node_services.hypervisors import hypervisors
from ganeti.daemon.process.host_clock import lease_notes, read_boot_id, read_uptime
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.node.watchdog import INTERVAL, Watchdog
from ganeti.paths import Paths
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from ganeti.system.watchdog_device import LinuxWatchdogDevice, NoWatchdogDevice


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the watchdog."""
    reactor = daemon.reactor
    files = LocalFiles(thread_runner(reactor))
    processes = LocalProcesses(reactor, reactor)
    watchdog = Watchdog(
        lease_notes(paths),
        LinuxWatchdogDevice(options.device) if options.device else NoWatchdogDevice(),
        # Again each time, as the node daemon starts guests and ends them meanwhile.
        lambda: hypervisors(reactor, paths, files, processes),
        uptime=read_uptime,
        boot_id=read_boot_id,
    )

    daemon.add(ServicePart("device", stop=watchdog.stop))
    daemon.repeat("look at the lease", INTERVAL, watchdog.tick)
    daemon.status("watching the lease of the guests")
