# SPDX-License-Identifier: BSD-2-Clause
"""The OS definitions that ship are valid and do what they say, on real files."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any, ParamSpec, TypeVar, cast

import yaml
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web import static
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from ganeti.errors import Failed
from ganeti.model.guest import Guest, GuestNetwork, GuestNic
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.node import ValidateOS
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from ganeti.testing.builders import a_disk, a_guest

P = ParamSpec("P")
T = TypeVar("T")
OSES = str(Path(__file__).parents[2] / "os")


async def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what blocks without a thread."""
    return function(*args, **kwargs)


class ShippedDefinitions(TestCase):
    def setUp(self) -> None:
        clock = cast(IReactorTime, reactor)
        files = LocalFiles(at_once)
        self.definitions = OSDefinitions(files, [OSES])
        processes = LocalProcesses(cast(IReactorFDSet, reactor), clock)
        self.logs = str(self.mktemp())
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.scripts = OSScripts(
            self.definitions,
            processes,
            files,
            self.logs,
            clock.seconds,
            cache=str(self.folder / "cache"),
            work=str(self.folder / "work"),
        )
        self.cache = self.folder / "cache" / "image"


class ShippedTests(ShippedDefinitions):
    def a_disk(self) -> str:
        path = Path(self.mktemp())
        path.write_bytes(bytes(1 << 20))
        return str(path.absolute())

    def mini(self, **over: Any) -> Guest:
        return a_guest("web1", os="mini", disks=[a_disk("a", size=1)], **over)

    def test_all_are_valid(self) -> None:
        found = {
            each.name: (each.valid, each.diagnosis) for each in self.definitions.all_definitions()
        }
        self.assertEqual(found, dict.fromkeys(("image", "mini", "noop"), (True, "")))

    async def test_noop_leaves_nothing(self) -> None:
        await self.scripts.create(a_guest("web1", os="noop"), [])
        self.assertEqual(logs(self.logs), [])

    async def test_mini_labels_the_first_disk(self) -> None:
        disk = self.a_disk()
        await self.scripts.create(self.mini(osparams={"greeting": "welcome"}), [disk])
        self.assertEqual(content(disk).rstrip(b"\0"), b"mini web1\nwelcome\n")
        self.assertEqual(len(content(disk)), 1 << 20)

    async def test_mini_keeps_its_greeting_when_it_is_renamed(self) -> None:
        disk = self.a_disk()
        await self.scripts.create(self.mini(osparams={"greeting": "welcome"}), [disk])
        renamed = a_guest("web2", os="mini", disks=[a_disk("a", size=1)])
        await self.scripts.rename(renamed, [disk], "web1")
        self.assertEqual(content(disk).rstrip(b"\0"), b"mini web2\nwelcome\n")

    async def test_mini_is_exported_and_imported(self) -> None:
        disk, copy, dump, size = self.a_disk(), self.a_disk(), self.mktemp(), self.mktemp()
        await self.scripts.create(self.mini(), [disk])
        await self.scripts.export(self.mini(), [disk], 0, sink=dump, announced=size)
        await self.scripts.restore(self.mini(), [copy], 0, source=dump)
        self.assertEqual(content(copy), content(disk))
        self.assertEqual(content(size), b"1048576\n")

    async def test_mini_refuses_a_greeting_of_two_lines(self) -> None:
        call = ValidateOS(os="mini", osparams={"greeting": "a\nb"})
        with self.assertRaisesRegex(Failed, "greeting must be a single line"):
            await self.scripts.verify(call)
        await self.scripts.verify(ValidateOS(os="mini", osparams={"greeting": "a"}))


class ImageTests(ShippedDefinitions):
    """``image`` writes an image of any origin, once it is the one that is wanted."""

    def setUp(self) -> None:
        super().setUp()
        if which("qemu-img") is None:
            raise SkipTest("qemu-img is not installed; apt-get install qemu-utils")
        self.data = random.Random(1).randbytes(3 << 20)
        self.image = self.folder / "disk.qcow2"
        raw = self.folder / "disk.raw"
        raw.write_bytes(self.data)
        self.convert("convert", "-f", "raw", "-O", "qcow2", str(raw), str(self.image))
        self.checksum = f"sha256:{hashlib.sha256(self.image.read_bytes()).hexdigest()}"
        self.sent: list[str] = []

    def convert(self, *arguments: str) -> None:
        subprocess.run(["qemu-img", *arguments], check=True, stdout=subprocess.DEVNULL)

    def serve(self, cut_off: int = 0) -> str:
        """Serve the image, but break the first connections after half of it; return the URL."""
        root = static.Data(b"", "text/plain")
        root.putChild(b"disk", HalfServed(str(self.image), self.sent, cut_off))
        port = cast(Any, reactor).listenTCP(0, Site(root), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}/disk"

    async def install(self, image: str, size: int = 4, **osparams: str) -> bytes:
        """Return the content of the first disk, of ``size`` MiB, after it was installed."""
        path = self.folder / "disk"
        path.write_bytes(b"\xff" * (size << 20))
        guest = a_guest(
            "web1",
            os="image",
            osparams={"image": image, **osparams},
            disks=[a_disk("a", size=size)],
        )
        await self.scripts.create(guest, [str(path)])
        return path.read_bytes()

    async def refusal(self, image: str, size: int = 4, **osparams: str) -> str:
        with self.assertRaises(Failed) as caught:
            await self.install(image, size, **osparams)
        return str(caught.exception)

    async def test_a_file_of_the_node_is_written_whatever_was_on_the_disk(self) -> None:
        written = await self.install(str(self.image))
        self.assertEqual(written[: len(self.data)], self.data)
        self.assertEqual(len(written), 4 << 20)

    async def test_a_download_is_verified_and_kept(self) -> None:
        url = self.serve()
        for _ in range(2):
            written = await self.install(url, checksum=self.checksum)
            self.assertEqual(written[: len(self.data)], self.data)
        self.assertEqual(self.sent, ["all"])

    async def test_an_interrupted_download_goes_on_where_it_was(self) -> None:
        written = await self.install(self.serve(cut_off=2), checksum=self.checksum)
        self.assertEqual(written[: len(self.data)], self.data)
        self.assertEqual(self.sent[0], "all")
        self.assertRegex(" ".join(self.sent[1:]), r"^bytes=\d+- bytes=\d+-$")

    async def test_another_file_than_the_wanted_one_is_not_kept(self) -> None:
        url, wanted = self.serve(), "ab" * 64
        said = await self.refusal(url, checksum=f"sha512:{wanted}")
        self.assertRegex(said, f"has the sha512 digest [0-9a-f]{{128}}, not {wanted}")
        self.assertEqual([each for each in os.listdir(self.cache) if "lock" not in each], [])
        said = await self.refusal(str(self.image), checksum=f"sha256:{wanted[:64]}")
        self.assertIn(f"not {wanted[:64]}", said)

    async def test_what_the_server_refuses_is_said(self) -> None:
        said = await self.refusal(f"{self.serve()}/missing", checksum=self.checksum)
        self.assertIn("cannot be downloaded: HTTP Error 404", said)

    async def test_a_server_that_nobody_reaches_is_asked_once(self) -> None:
        port = cast(Any, reactor).listenTCP(0, Site(Resource()), interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}/disk"
        await port.stopListening()
        said = await self.refusal(url, checksum=self.checksum)
        self.assertIn("check the URL, and that this node reaches it", said)
        self.assertNotIn("goes on", said)

    async def test_an_image_that_reads_another_file_is_refused(self) -> None:
        layer = str(self.folder / "layer.qcow2")
        self.convert("create", "-f", "qcow2", "-b", str(self.image), "-F", "qcow2", layer)
        self.assertIn("needs another file", await self.refusal(layer))
        apart, data = str(self.folder / "apart.qcow2"), self.folder / "data"
        self.convert("create", "-f", "qcow2", "-o", f"data_file={data}", apart, "3M")
        self.assertIn("needs another file", await self.refusal(apart))

    async def test_an_image_that_is_too_large_or_of_no_use_is_refused(self) -> None:
        said = await self.refusal(str(self.image), size=2)
        self.assertIn("the image needs 3 MiB, and the first disk has 2 MiB", said)
        odd = self.folder / "odd"
        odd.write_bytes(b"\xfd7zXZ\0" + bytes(100))
        self.assertIn("compressed with xz; decompress it first", await self.refusal(str(odd)))
        self.convert("create", "-f", "vmdk", str(odd), "3M")
        self.assertIn("format vmdk; possible are raw, qcow2", await self.refusal(str(odd)))
        self.image.write_bytes(self.image.read_bytes()[:100])
        self.assertIn("cannot be read", await self.refusal(str(self.image)))
        self.assertIn("is not a file on this node", await self.refusal("/missing/image"))

    async def test_parameters_that_make_no_sense_are_all_named(self) -> None:
        wrong = {
            "image": "ftp://example.com/x",
            "checksum": "sha256:12",
            "ssh_keys": "ssh-ed25519 AAAA me\nhello",
            "user": "Root!",
            "dns": "192.0.2.1 192.0.2",
            "user_data": "hello",
        }
        with self.assertRaises(Failed) as caught:
            await self.scripts.verify(ValidateOS(os="image", osparams=wrong))
        said = str(caught.exception)
        for each in (
            "is neither a name, nor a URL (http or https), nor an absolute path",
            "checksum sha256:12 is neither sha256: nor sha512:",
            "ssh_keys: hello is not a public key",
            "user Root! is not a name",
            "dns: 192.0.2 is not an address",
            "user_data starts with none of #cloud-config",
            "user_data replaces ssh_keys and user",
        ):
            self.assertIn(each, said)
        with self.assertRaisesRegex(Failed, "image is missing"):
            await self.scripts.verify(ValidateOS(os="image", osparams={}))
        with self.assertRaisesRegex(Failed, "checksum is missing"):
            url = {"image": "https://example.com/x"}
            await self.scripts.verify(ValidateOS(os="image", osparams=url))
        right = {"image": "/x", "ssh_keys": "ssh-ed25519 AAAA+/= me", "user": "debian"}
        await self.scripts.verify(ValidateOS(os="image", osparams=right))


class SeedTests(ShippedDefinitions):
    """What the script ``seed`` of ``image`` tells cloud-init."""

    async def seed(self, *nics: GuestNic, **osparams: str) -> dict[str, Any]:
        guest = a_guest("web1.example.com", uuid="u1", os="image", osparams=osparams, nics=nics)
        files = await self.scripts.write_seed(guest, [])
        self.assertEqual(set(files), {"meta-data", "network-config", "user-data"})
        return {name: yaml.safe_load(content) for name, content in files.items()}

    async def test_the_guest_gets_its_name_and_keys(self) -> None:
        keys = ["ssh-ed25519 AAAA it's me", 'ssh-rsa BBBB "you"']
        seed = await self.seed(ssh_keys="\n".join(keys), user="debian")
        self.assertEqual(
            seed["meta-data"], {"instance-id": "u1", "local-hostname": "web1.example.com"}
        )
        told = seed["user-data"]
        self.assertEqual((told["ssh_authorized_keys"], told["user"]), (keys, "debian"))
        self.assertEqual(told["fqdn"], "web1.example.com")

    async def test_without_keys_there_is_no_list_of_them(self) -> None:
        # Which cloud-init rejects if it is empty.
        self.assertEqual(set((await self.seed())["user-data"]), {"fqdn", "manage_etc_hosts"})

    async def test_user_data_is_passed_on_as_it_is(self) -> None:
        guest = a_guest(os="image", osparams={"user_data": "#!/bin/sh\necho 'a: \"b\"'"})
        files = await self.scripts.write_seed(guest, [])
        self.assertEqual(files["user-data"], b"#!/bin/sh\necho 'a: \"b\"'\n")

    async def test_each_card_has_its_address_or_asks_for_one(self) -> None:
        network = GuestNetwork(
            uuid="n", name="lan", subnet="192.0.2.0/25", gateway="192.0.2.1", mac_prefix=""
        )
        first = GuestNic(
            uuid="a",
            mac="aa:00:00:00:00:01",
            mode="bridged",
            link="br0",
            ip="192.0.2.9",
            network=network,
        )
        second = GuestNic(uuid="b", mac="aa:00:00:00:00:02", mode="bridged", link="br0")
        seed = await self.seed(first, second, dns="192.0.2.2 2001:db8::1")
        cards = seed["network-config"]["ethernets"]
        self.assertEqual(
            cards["eth0"],
            {
                "match": {"macaddress": "aa:00:00:00:00:01"},
                "set-name": "eth0",
                "addresses": ["192.0.2.9/25"],
                "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}],
                "nameservers": {"addresses": ["192.0.2.2", "2001:db8::1"]},
            },
        )
        self.assertEqual(cards["eth1"]["match"], {"macaddress": "aa:00:00:00:00:02"})
        self.assertIs(cards["eth1"]["dhcp4"], True)


class HalfServed(Resource):
    """A file; the first ``cut_off`` requests get half of what they ask for."""

    isLeaf = True

    def __init__(self, path: str, sent: list[str], cut_off: int) -> None:
        super().__init__()
        self._path = path
        self._sent = sent
        self._cut_off = cut_off

    def render_GET(self, request: Request) -> Any:
        asked = request.getHeader("range")
        self._sent.append(asked or "all")
        if request.postpath:
            request.setResponseCode(404)
            return b""
        if len(self._sent) > self._cut_off:
            return static.File(self._path).render_GET(request)
        whole = content(self._path)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        request.setResponseCode(206 if asked else 200)
        request.setHeader("content-length", str(len(whole) - start))
        request.write(whole[start : (start + len(whole)) // 2])
        request.loseConnection()
        return NOT_DONE_YET


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def logs(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]
