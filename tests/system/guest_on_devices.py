# SPDX-License-Identifier: BSD-2-Clause
"""A guest without powers on the devices of a real kernel: plain, thin and DRBD disks.

Not part of ``./check``: QEMU is emulated here, which takes minutes. It is run by
``python -m tests.system.guest_on_devices``, which boots a virtual node, makes the disks, and runs
the test below in it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.model.guest import Guest
from ganeti.testing.builders import a_disk, a_guest
from tests.system.kvm_guests import KvmCase
from tests.system.virtual_node import VirtualNode, require_virtual_node
from tools.quickstart.place import TREE

DEVICES = ("/dev/vg0/thick", "/dev/vg0/thin", "/dev/drbd0")
LATER = ("/dev/vg0/thick1", "/dev/vg0/thin1", "/dev/drbd1")
"""The disks of a guest at its start, and those that are plugged into it."""

FIRST = 61990
"""A user ID that no account has."""

_INSIDE = "GANETI_VIRTUAL_NODE"
"""Is set in the environment of programs of the virtual node."""

_DISKS = """
vgcreate -y vg0 /dev/vda
lvcreate -y --type thin-pool -L 64m -n pool vg0
for n in '' 1; do
  lvcreate -y -W n -L 16m -n thick$n vg0
  lvcreate -y -V 16m --thinpool pool -n thin$n vg0
  lvcreate -y -W n -L 16m -n data$n vg0
  lvcreate -y -W n -L 8m -n meta$n vg0
done
for n in 0 1; do
  name=${n#0}
  drbdmeta --force $n v08 /dev/vg0/meta$name flex-external create-md
  drbdsetup new-resource resource$n
  drbdsetup new-minor resource$n $n 0
  drbdsetup attach $n /dev/vg0/data$name /dev/vg0/meta$name flexible
  drbdsetup primary $n --force
done
"""

_BOOT_SECTOR = bytes.fromhex(
    "31c0 8ed8 b280"  # ds = 0, dl = the first disk
    "be307c b80043 cd13"  # write by the packet at 7c30
    "fec2 80fa83 75f1"  # to three disks
    "f4 ebfd"  # wait for ever
).ljust(0x30, b"\0") + bytes.fromhex(
    # One sector, which is this one, to the second of the disk.
    "1000 0100 007c 0000 0100000000000000"
)
MARK = b"written by a guest"
BOOT_SECTOR = (_BOOT_SECTOR + MARK).ljust(510, b"\0") + b"\x55\xaa"


class DevicesTests(KvmCase):
    """Runs in the virtual node."""

    user_pool = ((FIRST, FIRST),)
    timeout = 600

    def setUp(self) -> None:
        if _INSIDE not in os.environ:
            raise SkipTest("this needs a virtual node: python -m tests.system.guest_on_devices")
        super().setUp()

    def guest(self, **more: str) -> Guest:
        hvparams = {"kernel_path": "", "boot_order": "disk", "security_model": "pool", **more}
        disks = [a_disk(name, size=16, index=n) for n, name in enumerate("abc")]
        be = {"maxmem": 32, "minmem": 32, "vcpus": 1}
        return a_guest("web1", hypervisor="kvm", hvparams=hvparams, disks=disks, beparams=be)

    def attached(self) -> list[AttachedDisk]:
        return [
            AttachedDisk(disk, path) for disk, path in zip(self.guest().disks, DEVICES, strict=True)
        ]

    async def test_a_guest_writes_to_all_and_gets_more(self) -> None:
        self.write_boot_sector()
        hypervisor, guest = self.hypervisor(), self.guest()
        await hypervisor.start(guest, self.attached())
        found = self.read_status()
        self.assertEqual([found[name] for name in ("Uid", "NoNewPrivs")], [str(FIRST), "1"])
        self.assertEqual(int(found["CapPrm"], 16), 0)
        for number, path in enumerate(LATER, start=3):
            await hypervisor.plug(guest, AttachedDisk(a_disk(f"d{number}", size=16), path))
        async with self.monitor("node1") as qemu:
            blocks = await qemu.execute("query-block")
        plugged = [each["inserted"] for each in blocks if "inserted" in each]
        self.assertEqual(len([each for each in plugged if not each["ro"]]), 6)
        for path in DEVICES:
            while not self.is_written(path):
                await deferLater(self.clock, 1)
            self.assertEqual(os.stat(path).st_uid, 0)

    def write_boot_sector(self) -> None:
        """Make the first disk one that a BIOS boots from."""
        with open(DEVICES[0], "r+b") as device:
            device.write(BOOT_SECTOR)

    def read_status(self) -> dict[str, str]:
        """Return what the kernel says about the QEMU of the guest."""
        text = Path("/proc", str(self.pid("node1")), "status").read_text()
        return dict(re.findall(r"^(\w+):\s+(\S+)", text, re.MULTILINE))

    def is_written(self, path: str) -> bool:
        """Whether a guest has written; read from the device, not from memory."""
        with open(path, "rb") as device:
            os.posix_fadvise(device.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return MARK in device.read(1024)[512:]


def main() -> int:
    """Boot a node, and run the test in it."""
    require_virtual_node("lvcreate", "drbdsetup")
    node = VirtualNode(disks=[256], memory=768)
    config = "export LVM_SYSTEM_DIR=/run/lvm-config; mkdir -p $LVM_SYSTEM_DIR"
    words = "devices { use_devicesfile=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 }"
    node.call(f"{config}; echo {shlex.quote(words)} > $LVM_SYSTEM_DIR/lvm.conf; {_DISKS}")
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {
        "PATH": path,
        "LC_ALL": "C",
        "HOME": "/root",
        "PYTHONPATH": str(TREE),
        "PYTHONDONTWRITEBYTECODE": "1",
        _INSIDE: "1",
        "GANETI_MINI_GUEST": os.environ.get("GANETI_MINI_GUEST", ""),
    }
    test = f"{sys.executable} -m twisted.trial --temp-directory=/run/trial {__spec__.name}"
    ended = node.run(("sh", "-c", f"cd {TREE}; {test}"), env=environment, timeout=1800)
    sys.stdout.write((ended.out + ended.err).decode(errors="replace"))
    return ended.code


if __name__ == "__main__":
    sys.exit(main())
