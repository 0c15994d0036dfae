# SPDX-License-Identifier: BSD-2-Clause
"""Inspection of disk images of unknown origin, as a program of its own.

The header is parsed here before any other program reads the file, because a program that detects
the format by itself, as ``qemu-img info`` does, also opens other files that a header names.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = 64 << 10
"""How many bytes of the start of a file are enough to tell what it is."""

MAX_VIRTUAL_SIZE = 1 << 50
"""Maximum size of the disk in an image, in bytes; larger ones are no mistake."""

_CHUNK = 1 << 20
_MAX_MEMORY = 2 << 30
_MAX_CPU_SECONDS = 300
"""Limits for ``qemu-img``, which a broken image could keep busy."""

_SECTOR = 512
_CONVERT = "convert it to one of its own: qemu-img convert -O qcow2 IMAGE NEW"

_QCOW2 = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(">4sIQIIQI")  # up to crypt_method
_QCOW2_FEATURES = struct.Struct(">Q")
_CORRUPT, _DATA_FILE = 1 << 1, 1 << 2
_KNOWN_FEATURES = 0b11111
"""Dirty, corrupt, external data file, compression type, extended L2 (QEMU, docs/interop/qcow2)."""

_OTHERS = (
    (b"\xfd7zXZ\0", "compressed with xz; decompress it first"),
    (b"\x1f\x8b", "compressed with gzip; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it first"),
    (b"BZh", "compressed with bzip2; decompress it first"),
    (b"PK\x03\x04", "a zip archive; extract the image first"),
    (b"KDMV", f"a disk of VMware; {_CONVERT}"),
    (b"COWD", f"a disk of VMware; {_CONVERT}"),
    (b"# Disk Descr", f"the description of a disk of VMware; {_CONVERT}"),
    (b"vhdxfile", f"a disk of Hyper-V; {_CONVERT}"),
    (b"conectix", f"a disk of Virtual PC; {_CONVERT}"),
    (b"<<< ", f"a disk of VirtualBox; {_CONVERT}"),
    (b"QED\0", f"an image in the format qed; {_CONVERT}"),
    (b"LUKS\xba\xbe", "encrypted with LUKS; decrypt it first"),
)
"""What other files begin with, and what to do."""


class BadImage(Exception):
    """A file that no instance can be installed from; the message says why, and what to do."""


@dataclass(frozen=True)
class ImageFormat:
    """The format of an image, and the size of the disk in it in bytes."""

    name: str
    virtual_size: int


def parse_head(head: bytes, size: int) -> ImageFormat:
    """Return the format of an image with this start and this size in bytes.

    :raises BadImage: it is no image, in another format, or needs another file.
    """
    if head.startswith(_QCOW2):
        return _parse_qcow2(head)
    for start, what in _OTHERS:
        if head.startswith(start):
            raise BadImage(f"is {what}")
    if not _has_partitions(head) and not _has_file_system(head):
        raise BadImage(
            f"is neither a qcow2 image nor a raw disk with partitions or a file system; it begins"
            f" with {head[:16]!r}"
        )
    if size % _SECTOR:
        raise BadImage(f"is truncated: its size of {size} bytes is not a multiple of {_SECTOR}")
    return ImageFormat("raw", size)


def _parse_qcow2(head: bytes) -> ImageFormat:
    """Parse the header of an image in the format qcow2 (QEMU, docs/interop/qcow2)."""
    if len(head) < 104:
        raise BadImage("is truncated: it ends in the header")
    _, version, backing, _, bits, size, encryption = _QCOW2_HEADER.unpack_from(head)
    if version not in (2, 3):
        raise BadImage(f"is of version {version} of the format qcow2, which is unknown")
    if not 9 <= bits <= 21:
        raise BadImage("is damaged: its clusters have an impossible size")
    if backing:
        raise BadImage(f"needs another file, its backing file; {_CONVERT}")
    if size > MAX_VIRTUAL_SIZE:
        raise BadImage(f"is damaged or malicious: it claims to be a disk of {size >> 40} TiB")
    if encryption:
        raise BadImage("is encrypted; decrypt it first")
    features = _QCOW2_FEATURES.unpack_from(head, 72)[0] if version == 3 else 0
    if features & _DATA_FILE:
        raise BadImage(f"needs another file, its data file; {_CONVERT}")
    if features & _CORRUPT or features & ~_KNOWN_FEATURES:
        raise BadImage("is damaged, or of a later version of QEMU; see qemu-img check")
    return ImageFormat("qcow2", size)


def _has_partitions(head: bytes) -> bool:
    # An MBR, which also protects a GPT (UEFI specification, section 5.2.3).
    return head[510:512] == b"\x55\xaa"


def _has_file_system(head: bytes) -> bool:
    ext = head[1080:1082] == b"\x53\xef"
    return ext or head.startswith(b"XFSB")


def check_structure(path: str) -> str | None:
    """Return what ``qemu-img`` finds wrong with a file in the format qcow2, or None."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))
    try:
        done = subprocess.run(
            ["qemu-img", "check", "-q", "-f", "qcow2", path], capture_output=True, check=False
        )
    except FileNotFoundError:
        return (
            "cannot be checked, as qemu-img is missing on this node; install the package qemu-utils"
        )
    if done.returncode in (0, 3):  # 3: unused clusters, which do no harm
        return None
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").split("\n")
    return f"is damaged: {lines[0] or 'qemu-img check failed'}; download or create it again"


def inspect_file(path: str, kinds: Sequence[str]) -> dict[str, object]:
    """Return digests, size, format and virtual size of an image, or its ``problem``."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(handle, "rb", buffering=0) as file:
        head = file.read(HEAD)
        file.seek(0)
        digests = {kind: hashlib.new(kind) for kind in kinds}
        size = 0
        buffer = bytearray(_CHUNK)
        with memoryview(buffer) as view:
            while amount := file.readinto(view):
                size += amount
                for each in digests.values():
                    each.update(view[:amount])
    found: dict[str, object] = {kind: each.hexdigest() for kind, each in digests.items()}
    found["size"] = size
    try:
        form = parse_head(head, size)
    except BadImage as e:
        return {**found, "problem": str(e)}
    return {**found, "format": form.name, "virtual_size": form.virtual_size}


def main(arguments: Sequence[str]) -> int:
    """Print as JSON what ``inspect_file`` finds; with ``--check`` also check the structure."""
    path, *options = arguments
    kinds = [each for each in options if not each.startswith("-")]
    try:
        found = inspect_file(path, kinds)
    except OSError as e:
        print(f"{path}: {e.strerror}", file=sys.stderr)
        return 1
    if "--check" in options and found.get("format") == "qcow2":
        problem = check_structure(path)
        found |= {"problem": problem} if problem else {}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
