# SPDX-License-Identifier: BSD-2-Clause
"""A cluster in memory whose nodes have the programs for disks in qcow2 images."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, GanetiError, Invalid, Refused
from ganeti.model.disk import Disk
from ganeti.node.raw_images import PROGRAM
from ganeti.testing.builders import a_cluster
from ganeti.testing.host import MemoryHost
from ganeti.testing.processes import Ran, Script
from ganeti.testing.qemu_img_program import ScriptedQemuImg
from tests.operations.whole import WholeCluster

ORDER = {
    "instance_name": "web1",
    "mode": "create",
    "disk_template": "file",
    "disks": [{"size": 64, "format": "qcow2"}, {"size": 32, "format": "qcow2"}],
    "nics": [{}],
    "os_type": "noop",
    "pnode": "node1",
    "start": False,
}


def install_programs(host: MemoryHost) -> ScriptedQemuImg:
    """Install the programs for images on a host; return its ``qemu-img``."""

    def start_daemon(ran: Ran) -> Script:
        pid = host.processes.spawn()
        host.processes.alive[pid] = ran
        host.disk.put(ran.argv[ran.argv.index("--pidfile") + 1], b"%d" % pid, 0o600, 0.0)
        return Script()

    program = ScriptedQemuImg(host.images)
    host.processes.programs |= {**program.programs, PROGRAM: start_daemon, "umount": Script()}
    return program


class ImageDisksCase(SynchronousTestCase):
    """An instance web1, once ``create`` is called, with two disks in images on node1."""

    def setUp(self) -> None:
        state = a_cluster(
            nodes=("node1", "node2"), enabled_disk_templates=("file", "sharedfile", "plain")
        )
        self.whole = WholeCluster(state)
        self.programs = {name: install_programs(host) for name, host in self.whole.hosts.items()}

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.settled(self.whole.do(op_id, **{"instance_name": "web1", **fields}))

    def settled(self, work: Any) -> Any:
        running = Deferred.fromCoroutine(work)
        self.whole.clock.pump([0.1] * 50)
        return self.successResultOf(running)

    def refusal(self, op_id: str, **fields: Any) -> GanetiError:
        working = Deferred.fromCoroutine(
            self.whole.do(op_id, **{"instance_name": "web1", **fields})
        )
        self.whole.clock.pump([0.1] * 50)
        error = self.failureResultOf(working, Refused, Failed, Invalid).value
        assert isinstance(error, GanetiError)
        return error

    def create(self, **over: Any) -> None:
        self.do("OP_INSTANCE_CREATE", **{**ORDER, **over})

    @property
    def disks(self) -> tuple[Disk, ...]:
        return self.whole.state.get_disks(self.whole.state.instance("web1"))

    def path(self, disk: Disk, node: str = "node1") -> str:
        return f"/{node}{disk.logical_id[1]}"
