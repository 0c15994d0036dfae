#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the initial RAM disk of the OS definition *mini*: a whole guest in a few megabytes.

It needs a statically linked busybox and the modules of a kernel, as Debian's packages
``busybox-static`` and ``linux-image-*`` hold them, unpacked anywhere: no privileges, no mounts.
The guest says ``mini: up as NAME`` on its console, where NAME is the serial number that the
machine's firmware tells, then ``tick N`` every second and its name again every ten. It shows what
the OS definition wrote on its first disk, and shuts down when its power button is pressed.

With ``--host``, it is that of a virtual host for system tests, which has watchdog devices: an Intel
6300ESB, if the machine has one, and that of the kernel (*softdog*). It says ``mini: host is up`` on
its first serial port, then runs a shell there, without echo or prompt.

With ``--node``, it is that of a virtual node for system tests of storage: its root is a folder of
the host, shared by 9p as ``root`` and never written to, with an overlay in memory. The kernel has
the device-mapper and DRBD. It runs a shell, without echo or prompt, for who connects to its virtio
port ``shell``. Its command line names its address, as ``ip=ADDRESS/BITS``.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

MODULES = (
    *("evdev", "button", "virtio_blk", "virtio_pci", "virtio_scsi", "sd_mod", "sr_mod", "ata_piix"),
    *("efivarfs", "virtio_net", "virtio_balloon", "virtio_console", "tpm_tis"),
    "tpm_crb",
)
"""What the guest can use of the kernel, if it is not built in: its power button, its drives, the
variables of its UEFI firmware, its network cards, its memory balloon, its channels and its TPM."""

HOST_MODULES = ("i6300esb", "softdog")
"""The drivers of watchdog devices, in the order of their numbers."""

NODE_MODULES = {
    # First: others look for it when they are loaded.
    "crc32c_generic": "",
    "virtio_pci": "",
    "virtio_blk": "",
    "virtio_net": "",
    "virtio_console": "",
    "9pnet_virtio": "",
    "9p": "",
    "overlay": "",
    "dm_snapshot": "",
    "dm_thin_pool": "",
    # As ``doc/storage.md`` has it.
    "drbd": "minor_count=128 usermode_helper=/bin/true",
}
"""What a virtual node uses of its kernel, with the parameters of each module."""

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module" 2>/dev/null; done < /modules/order
name=$(cat /sys/class/dmi/id/product_serial 2>/dev/null)
hostname "${name:-mini}"
echo "mini: up as $(hostname)"
for disk in vda sda; do
  if [ -b /dev/$disk ]; then
    label=$(dd if=/dev/$disk bs=4096 count=1 2>/dev/null | tr -d '\\000')
    case "$label" in "mini "*) echo "mini: disk says $(echo "$label" | sed -n 2p)";; esac
    break
  fi
done
for event in /sys/class/input/event*; do
  if grep -q "Power Button" "$event/device/name" 2>/dev/null; then
    ( dd if="/dev/input/${event##*/}" of=/dev/null bs=24 count=1 2>/dev/null
      echo "mini: down"
      sync
      poweroff -f ) &
  fi
done
( tick=0
  while sleep 1; do
    tick=$((tick + 1))
    echo "tick $tick"
    # For who attaches to the console later.
    [ $((tick % 10)) -ne 0 ] || echo "mini: up as $(hostname)"
  done ) &
while :; do setsid cttyhack sh; sleep 1; done
"""

HOST_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ PS1= PS2=
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /freezer
mount -t cgroup -o freezer freezer /freezer
while read -r module; do insmod "/modules/$module" 2>/dev/null; done < /modules/order
stty -F /dev/ttyS0 -echo -onlcr
echo "mini: host is up"
while :; do setsid sh <>/dev/ttyS0 >&0 2>&1; sleep 1; done
"""

NODE_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod /modules/$module; done < /modules/order
mkdir -p /lower /upper /node
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /lower
mount -t tmpfs upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /node
for each in proc sys dev; do mount --move /$each /node/$each; done
mount -t tmpfs run /node/run
mkdir -p /node/run/lock/lvm /node/run/lvm /node/run/drbd /node/var/lib/drbd
for word in $(cat /node/proc/cmdline); do
  case $word in ip=*) ip address add ${word#ip=} dev eth0; ip link set eth0 mtu 9000 up;; esac
done
ip link set lo up
port=$(grep -lx shell /node/sys/class/virtio-ports/*/name)
port=/node/dev/$(basename ${port%/name})
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
# A port without a connection is at its end.
while :; do chroot /node /bin/sh <>$port >&0 2>&1; sleep 0.1; done
"""


class Archive:
    """A cpio archive in the format that kernels unpack (newc)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def folder(self, name: str) -> None:
        self._add(name, 0o040755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._add(name, 0o100000 | mode, content)

    def device(self, name: str, major: int, minor: int) -> None:
        self._add(name, 0o020600, major=major, minor=minor)

    def content(self) -> bytes:
        """The archive, which is complete then."""
        self._add("TRAILER!!!", 0)
        return b"".join(self._parts)

    def packed(self) -> bytes:
        """The archive, compressed; the same for the same content."""
        return gzip.compress(self.content(), mtime=0)

    def _add(
        self, name: str, mode: int, content: bytes = b"", *, major: int = 0, minor: int = 0
    ) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        links, checksum, none = 1, 0, 0
        numbers = (
            *(self._inode, mode, none, none, links, none, len(content), none, none),
            *(major, minor, len(path), checksum),
        )
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(header + path), _padded(content)]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def modules(folder: Path, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted modules below ``folder`` and what they need, in the order to load them.

    ``modules.dep`` is written by depmod when a package is installed; without it the order follows
    from the names that the modules themselves give for what they need.
    """
    files = {_name(path): path for path in sorted(folder.rglob("*.ko*")) if path.is_file()}
    loaded: set[str] = set()

    def load(name: str) -> Iterator[tuple[str, bytes]]:
        if name in loaded or name not in files:
            return
        loaded.add(name)
        content = _content(files[name])
        needs = re.search(rb"\0depends=([\w,-]*)\0", content)
        for other in needs[1].decode().split(",") if needs else ():
            yield from load(other.replace("-", "_"))
        yield f"{name}.ko", content

    for name in wanted:
        yield from load(name)


def _name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    match path.suffix:
        case ".xz":
            return lzma.decompress(content)
        case ".gz":
            return gzip.decompress(content)
        case ".ko":
            return content
    sys.exit(f"{path}: modules compressed in this way cannot be read here")


def archive(
    busybox: bytes,
    loaded: Iterable[tuple[str, bytes]],
    init: str = INIT,
    parameters: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """The initial RAM disk as a kernel takes it; ``parameters`` are those of modules."""
    made = Archive()
    for name in ("bin", "dev", "modules", "proc", "sys"):
        made.folder(name)
    made.device("dev/console", 5, 1)
    made.file("bin/busybox", busybox, 0o755)
    made.file("init", init.encode(), 0o755)
    order = []
    for name, content in loaded:
        made.file(f"modules/{name}", content)
        order.append(f"{name} {parameters.get(name.removesuffix('.ko'), '')}".rstrip())
    made.file("modules/order", "".join(f"{name}\n" for name in order).encode())
    return made.packed()


KINDS: Mapping[str, tuple[Mapping[str, str], str]] = MappingProxyType(
    {
        "guest": (dict.fromkeys(MODULES, ""), INIT),
        "host": (dict.fromkeys(HOST_MODULES, ""), HOST_INIT),
        "node": (NODE_MODULES, NODE_INIT),
    }
)
"""The modules, with their parameters, and the first program of each kind of initial RAM disk."""


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"))
    parser.add_argument("--modules", type=Path, help="a folder /lib/modules/VERSION")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--host", action="store_const", dest="kind", const="host", default="guest")
    kind.add_argument("--node", action="store_const", dest="kind", const="node")
    options = parser.parse_args()
    wanted, init = KINDS[options.kind]
    loaded = modules(options.modules, wanted) if options.modules else ()
    options.output.write_bytes(archive(options.busybox.read_bytes(), loaded, init, wanted))


if __name__ == "__main__":
    main()
