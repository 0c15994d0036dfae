# SPDX-License-Identifier: BSD-2-Clause
"""Images of unknown origin, on real files."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from shutil import which

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.system import image_inspector
from ganeti.system.image_inspector import BadImage, ImageFormat, parse_head
from ganeti.system.subprocess_modules import module_environment
from ganeti.testing.image_programs import raw_image


def qcow2(
    *, version: int = 3, backing: int = 0, bits: int = 16, size: int = 1 << 30,
    encryption: int = 0, features: int = 0,
) -> bytes:  # fmt: skip
    """Return the header of an image in the format qcow2 (QEMU, docs/interop/qcow2)."""
    start = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing, 0, bits, size, encryption)
    return start.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(24)


class HeadTests(SynchronousTestCase):
    def refusal(self, head: bytes, size: int = 1 << 20) -> str:
        with self.assertRaises(BadImage) as caught:
            parse_head(head, size)
        return str(caught.exception)

    def test_the_size_of_the_disk_is_in_the_header(self) -> None:
        for version in (2, 3):
            found = parse_head(qcow2(version=version, size=7 << 30), 1000)
            self.assertEqual(found, ImageFormat("qcow2", 7 << 30))

    def test_a_raw_disk_has_partitions_or_a_file_system(self) -> None:
        ext4 = bytes(1080) + b"\x53\xef" + bytes(100)
        for head in (raw_image(b""), ext4, b"XFSB" + bytes(600)):
            self.assertEqual(parse_head(head, 4096), ImageFormat("raw", 4096))

    def test_an_image_that_needs_another_file_is_refused(self) -> None:
        self.assertIn("its backing file; convert it", self.refusal(qcow2(backing=200)))
        self.assertIn("its data file; convert it", self.refusal(qcow2(features=4)))

    def test_features_of_version_3_are_not_read_from_version_2(self) -> None:
        self.assertEqual(parse_head(qcow2(version=2, features=4), 9).name, "qcow2")

    def test_a_disk_that_nobody_has_is_refused(self) -> None:
        self.assertIn("claims to be a disk of 2048 TiB", self.refusal(qcow2(size=1 << 51)))

    def test_what_cannot_be_read_is_refused(self) -> None:
        self.assertIn("is encrypted; decrypt it", self.refusal(qcow2(encryption=2)))
        self.assertIn("is damaged", self.refusal(qcow2(features=2)))
        self.assertIn("of a later version of QEMU", self.refusal(qcow2(features=1 << 40)))
        self.assertIn("of version 7", self.refusal(qcow2(version=7)))
        self.assertIn("impossible size", self.refusal(qcow2(bits=60)))
        self.assertIn("ends in the header", self.refusal(qcow2()[:50]))

    def test_other_formats_are_named_with_what_to_do(self) -> None:
        self.assertIn("compressed with xz; decompress it", self.refusal(b"\xfd7zXZ\0" + bytes(99)))
        self.assertIn("VMware; convert it to one", self.refusal(b"KDMV" + bytes(99)))
        self.assertIn("begins with b'<html>'", self.refusal(b"<html>"))

    def test_a_raw_disk_consists_of_sectors(self) -> None:
        self.assertIn("is truncated: its size of 1000 bytes", self.refusal(raw_image(b""), 1000))

    @given(st.binary(max_size=1200), st.integers(0, 1 << 40))
    def test_no_file_crashes_it(self, head: bytes, size: int) -> None:
        for start in (head, b"QFI\xfb\0\0\0\3" + head):
            try:
                self.assertIn(parse_head(start, size).name, ("raw", "qcow2"))
            except BadImage as e:
                self.assertTrue(str(e))


class InspectorTests(SynchronousTestCase):
    """The program, on real files."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def run_program(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, "-m", image_inspector.__name__, str(self.path), *options]
        environment = {**module_environment(), "PATH": os.environ["PATH"]}
        return subprocess.run(argv, env=environment, capture_output=True, check=False)

    def test_digests_size_and_format_are_told(self) -> None:
        content = raw_image(b"hello", 3 << 20)
        self.path.write_bytes(content)
        told = json.loads(self.run_program("sha256", "sha512").stdout)
        self.assertEqual(told.pop("sha256"), hashlib.sha256(content).hexdigest())
        self.assertEqual(told.pop("sha512"), hashlib.sha512(content).hexdigest())
        self.assertEqual(told, {"size": 3 << 20, "format": "raw", "virtual_size": 3 << 20})

    def test_what_is_no_image_has_a_problem(self) -> None:
        self.path.write_bytes(b"hello")
        self.assertIn("begins with b'hello'", json.loads(self.run_program().stdout)["problem"])

    def test_a_link_is_not_followed(self) -> None:
        self.path.symlink_to("/etc/passwd")
        done = self.run_program()
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"Too many levels of symbolic links", done.stderr)

    def test_a_truncated_image_is_noticed(self) -> None:
        if which("qemu-img") is None:
            raise SkipTest("qemu-img is not installed; apt-get install qemu-utils")
        raw = Path(self.mktemp())
        raw.write_bytes(os.urandom(2 << 20))
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(self.path)]
        subprocess.run(convert, check=True)
        self.assertNotIn("problem", json.loads(self.run_program("--check").stdout))
        os.truncate(self.path, 1 << 20)
        told = json.loads(self.run_program("--check").stdout)
        self.assertIn("is damaged: ", told["problem"])
        self.assertIn("download or create it again", told["problem"])
