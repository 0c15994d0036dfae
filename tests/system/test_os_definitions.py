# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions that others wrote, from Debian's packages, install guests here.

The packages are fetched and seen only in a mount namespace; nothing is installed on this host. The
system that is installed comes from a cache of ``instance-debootstrap``, made here and small, so
that no mirror is asked for hundreds of packages. Disks are not partitioned, because that takes the
kernel's device-mapper.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tools.quickstart.place import TREE

PACKAGES = ("ganeti-instance-debootstrap", "ganeti-os-noop", "dump", "liblzo2-2", "udev")
PROGRAMS = ("apt-get", "dpkg", "dpkg-deb", "unshare", "losetup", "mke2fs", "debugfs")
DEFAULTS = "/etc/default/ganeti-instance-debootstrap"
CACHE = "ganeti-instance-debootstrap"

SETTINGS = "PARTITION_STYLE=none\nSUITE=tiny\nGENERATE_CACHE=no\nCLEAN_CACHE=\n"

PASSWD = b"#!/bin/sh\n# What the definition calls to take the password from root.\n"
"""A program of the guest's, run by the script create inside of the disk's root folder."""

# Only this process and its children see these.
ENTER = """
mount -t overlay overlay -o "lowerdir=$1/root/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$1/root/etc:/etc" /etc
mount --bind "$1/cache" /var/cache
shift
exec "$@"
"""


def require_host() -> None:
    """Skip a test where mounts or loop devices cannot be made."""
    if os.geteuid() != 0:
        raise SkipTest("mounts and loop devices need root")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise SkipTest(f"these programs are not installed: {', '.join(missing)}")
    for words in (["unshare", "-m", "true"], ["losetup", "-f"]):
        if subprocess.run(words, capture_output=True).returncode != 0:
            raise SkipTest(f"this host does not allow it: {' '.join(words)}")


def unpack(folder: Path) -> None:
    """Fetch the packages and unpack them in ``root`` of a folder, or skip the test."""
    fetch = ["apt-get", "-qq", "download", *PACKAGES]
    fetched = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=120)
    if fetched.returncode != 0:
        raise SkipTest(f"Debian's packages cannot be had: {fetched.stderr.strip()}")
    root = folder / "root"
    (root / "usr").mkdir(parents=True)
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir()
        (root / name).symlink_to(f"usr/{name}")
    for package in folder.glob("*.deb"):
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
        ) as archive:
            # Through the links, as on a host whose /bin is /usr/bin.
            words = ["tar", "-x", "--keep-directory-symlink", "-C", str(root)]
            subprocess.run(words, stdin=archive.stdout, check=True)
    (root / DEFAULTS.lstrip("/")).write_text(SETTINGS)


def write_cache(path: Path) -> None:
    """Write a system for guests that has a shell of this host's and not much more."""
    shell = os.path.realpath("/bin/sh")
    libraries = subprocess.run(["ldd", shell], capture_output=True, text=True).stdout
    with tarfile.open(path, "w") as archive:
        for name in ("tmp", "usr", "usr/bin", "etc", "etc/network", "bin"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        archive.add(shell, "bin/sh")
        for library in re.findall(r"(/\S+) \(", libraries):
            archive.add(os.path.realpath(library), library.lstrip("/"))
        for name, content in (("usr/bin/passwd", PASSWD), ("etc/from-cache", b"yes\n")):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(content), 0o755
            archive.addfile(file, io.BytesIO(content))


class DebianTests(SynchronousTestCase):
    """One tour for all tests; each looks at a part of what it found."""

    _found: ClassVar[dict[str, Any] | None] = None

    def setUp(self) -> None:
        require_host()
        kind = type(self)
        if kind._found is None:
            kind._found = self.tour()
        self.found = kind._found

    def tour(self) -> dict[str, Any]:
        folder = Path(tempfile.mkdtemp(prefix="gnt-os-"))
        self.addCleanup(shutil.rmtree, folder)
        unpack(folder)
        cache = folder / "cache" / CACHE
        cache.mkdir(parents=True)
        words = ["dpkg", "--print-architecture"]
        machine = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        write_cache(cache / f"cache-tiny-{machine}.tar")
        done = subprocess.run(
            [
                *("unshare", "-m", "--propagation", "private", "sh", "-ec", ENTER, "sh"),
                *(str(folder), sys.executable, "-P", "-m", "tests.system.os_definitions_tour"),
            ],
            env={**os.environ, "PYTHONPATH": str(TREE)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def test_every_step_works(self) -> None:
        steps = ("diagnose", "noop", "create", "modify", "reinstall", "rename", "export", "import")
        self.assertEqual({step: self.found[step] for step in steps}, dict.fromkeys(steps, ""))

    def test_create_installs_the_system_and_names_it(self) -> None:
        self.assertEqual(self.found["created"], ["web1.os", "yes"])
        self.assertEqual(self.found["reinstalled"], ["web1.os", "yes"])

    def test_rename_changes_the_names_on_the_disk(self) -> None:
        self.assertEqual(self.found["renamed"], ["web2.os", "web2.os"])

    def test_a_dump_comes_back(self) -> None:
        self.assertEqual(self.found["imported"], ["web2.os", "yes"])

    def test_the_script_verify_has_its_say(self) -> None:
        self.assertIn("Invalid value 'xfs' for the filesystem parameter", self.found["wrong"])

    def test_nothing_is_left_behind(self) -> None:
        self.assertEqual(self.found["left behind"], [])
