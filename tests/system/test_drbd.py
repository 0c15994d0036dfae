# SPDX-License-Identifier: BSD-2-Clause
"""The real DRBD of two virtual nodes makes disks, and makes copies equal again."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.disk import DRBD_METADATA_SIZE, Disk
from ganeti.schema.records import replace
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.interfaces import IMirror, IVolumes, LocalState
from ganeti.testing.mirror import Copies
from ganeti.testing.storage import MemoryVolumes
from tests.contracts.mirror import ADDRESSES, MirrorBasicsContract, MirrorCase, Side
from tests.system.emulated_machine import TIMEOUT
from tests.system.running import eventually
from tests.system.virtual_node import (
    NodeFiles,
    NodeProcesses,
    VirtualNode,
    require_virtual_node,
)

SIZE = 8
"""MiB: an emulated node copies some in a second."""

PARAMETERS = {
    # Slow, so that what happens meanwhile can be seen.
    "resync-rate": 2048,
    # A wire that is cut is noticed in a second, and one that is repaired as well.
    "net-custom": "--ping-int=1 --ping-timeout=10 --connect-int=1",
}

_BREAK = """
dmsetup suspend --noflush data
dmsetup load data --table "0 $(blockdev --getsz /dev/vda) error"
dmsetup resume data
"""
_REPAIR = """
dmsetup load data --table "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0"
dmsetup resume data
"""

_LIST_MINORS = "sed -n 's/^ *\\([0-9]*\\): cs:.*/\\1/p' /proc/drbd"
_LIST_USED = "sed -n '/cs:Unconfigured/d; s/^ *\\([0-9]*\\): cs:.*/\\1/p' /proc/drbd"
_DEMOTE_ALL = f"{_LIST_MINORS} | while read minor; do drbdsetup secondary $minor; done"
# The kernel refuses for a moment when a wire has just been cut or repaired ("transient state").
_REMOVE_ALL = f"""
tries=60
while minors=$({_LIST_USED}); [ -n "$minors" ]; do
  for minor in $minors; do drbdsetup down resource$minor || true; done
  tries=$((tries - 1))
  [ $tries != 0 ] || exit 1
  sleep 0.5
done
wipefs -aq /dev/vdb
"""


@cache
def the_nodes() -> dict[str, VirtualNode]:
    """The two nodes of all tests here, with a device for data, which can fail, and for metadata."""
    wire = Path(tempfile.mkdtemp(prefix="ganeti-wire-"))
    atexit.register(shutil.rmtree, wire)
    (one, here), (two, there) = ADDRESSES.items()
    nodes = {
        one: VirtualNode(disks=[64, 128], address=here, peer=there, network=wire),
        two: VirtualNode(disks=[64, 128], address=there, peer=here, network=wire),
    }
    for node in nodes.values():
        node.call('dmsetup create data --table "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0"')
        node.call("dmsetup mknodes")
    return nodes


class FixedVolumes(MemoryVolumes):
    """Volumes of a virtual node that are only recorded: its devices are there already."""

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        await super().attach(disk, primary=primary)
        return "/dev/mapper/data" if disk.size < DRBD_METADATA_SIZE else "/dev/vdb"


class RealMirrorCase(MirrorCase):
    """Two nodes with the driver of DRBD."""

    size = SIZE

    def setUp(self) -> None:
        require_virtual_node("drbdsetup", "drbdmeta", "dmsetup")
        self.nodes = the_nodes()
        for node in self.nodes.values():
            self.addCleanup(node.call, _REMOVE_ALL)
        for node in self.nodes.values():
            self.addCleanup(node.set_link, up=True)
            # First on both: a primary node without data does not let its peer go.
            self.addCleanup(node.call, _DEMOTE_ALL)
        super().setUp()
        disk = self.one.disk
        disk = replace(disk, params={**(disk.params or {}), **PARAMETERS})
        self.one, self.two = (replace_disk(side, disk) for side in (self.one, self.two))

    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        there = self.nodes[node]
        drbd = DrbdVolumes(NodeProcesses(there), NodeFiles(there), FixedVolumes(), node)
        return drbd, drbd

    def node(self, side: Side) -> VirtualNode:
        [name] = [name for name, address in ADDRESSES.items() if address == side.key[0]]
        return self.nodes[name]

    def assert_local(self, *expected: tuple[LocalState, bool]) -> None:
        eventually(lambda: self.local() == list(expected), TIMEOUT)

    def assert_filled(self, *expected: tuple[LocalState, bool]) -> None:
        """No look is fast enough."""

    def assert_percent(self, expected: float) -> None:
        """It depends on the moment."""

    def let_fill(self, amount: float) -> None:
        """A look at the state waits for it."""

    def cut_link(self) -> None:
        for node in self.nodes.values():
            node.set_link(up=False)

    def repair_link(self) -> None:
        for node in self.nodes.values():
            node.set_link(up=True)

    def write(self, side: Side, amount: int) -> None:
        path = self.status(side).path
        self.node(side).call(f"dd if=/dev/urandom of={path} bs=1M count={amount} oflag=direct")

    def break_device(self, side: Side) -> None:
        node = self.node(side)
        node.call(_BREAK)
        self.addCleanup(node.call, _REPAIR)
        self.write(side, 1)

    def hold_open(self, side: Side) -> None:
        node = self.node(side)
        node.call(f"sleep 600 <{self.status(side).path} >/dev/null 2>&1 & echo $! > /run/holder")
        self.addCleanup(node.call, "kill $(cat /run/holder)")


class RealMirrorTests(MirrorBasicsContract, RealMirrorCase, SynchronousTestCase):
    """What ``drbd_mirrors`` has not, which runs on demand."""


def replace_disk(side: Side, disk: Disk) -> Side:
    """Return a side with another record of its disk."""
    return Side(side.volumes, side.mirror, disk, side.key)
