# SPDX-License-Identifier: BSD-2-Clause
"""The library of images: additions, copies between nodes, and instances that are installed."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, GanetiError, Invalid, JobCanceled, Refused
from ganeti.model.images import LibraryImage
from ganeti.operations.images.copies import require_copy
from ganeti.rpc.transfers import ImageData, StartImport, UrlSource
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, uuid_of
from ganeti.testing.host import OS_SCRIPTS
from ganeti.testing.image_programs import raw_image
from ganeti.testing.processes import Ran, Script
from tests.contracts.test_image_inspector import qcow2
from tests.operations.whole import WholeCluster

URL = "https://images.example.com/debian.img"
CONTENT = raw_image(b"debian")
HEX = hashlib.sha256(CONTENT).hexdigest()
DIGEST = f"sha256:{HEX}"
OTHER_URL = "https://images.example.com/other.img"
OTHER_CONTENT = raw_image(b"other")
OTHER = f"sha256:{hashlib.sha256(OTHER_CONTENT).hexdigest()}"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\naGVsbG8=\n-----END PGP PUBLIC KEY BLOCK-----\n"
UPLOAD = "ab" * 16
TWO_COPIES = {name: [f"sha256-{HEX}"] for name in ("node1", "node2")}


class ImageCluster(SynchronousTestCase):
    """Three nodes, of which node1 is the master, and two images in the internet."""

    def setUp(self) -> None:
        self.created: list[Ran] = []
        self.whole = self.make_cluster()

    def make_cluster(self, clock: Clock | None = None) -> WholeCluster:
        state = a_cluster(
            nodes=["node1", "node2", "node3"],
            enabled_disk_templates=("plain", "diskless"),
        )
        self.whole = WholeCluster(state, clock)
        for name, host in self.whole.hosts.items():
            host.image_programs.internet = {URL: CONTENT, OTHER_URL: OTHER_CONTENT}
            folder = f"/{name}/srv/ganeti/os/image"
            host.disk.add_folder(folder, 0o755)
            for script in OS_SCRIPTS:
                host.disk.put(f"{folder}/{script}", b"", 0o755, 0.0)
                host.processes.programs[f"{folder}/{script}"] = Script()
            host.disk.put(f"{folder}/ganeti_api_version", b"20\n", 0o644, 0.0)
            host.list_os_parameters("image", "image", "checksum", "user")
            host.list_os_parameters("noop", "image", "checksum")
            host.processes.programs[f"{folder}/create"] = self.create
        return self.whole

    def create(self, ran: Ran) -> Script:
        self.created.append(ran)
        return Script()

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **fields))

    def refusal(self, op_id: str, **fields: Any) -> str:
        return str(self.failureResultOf(self.whole.do(op_id, **fields), GanetiError).value)

    def add(self, name: str = "debian", url: str = URL, checksum: str = DIGEST, **over: Any) -> Any:
        return self.do("OP_IMAGE_ADD", image_name=name, url=url, checksum=checksum, **over)

    def image(self, name: str = "debian") -> LibraryImage:
        return self.whole.state.images[name]

    def copies(self) -> dict[str, list[str]]:
        """The files of images on each node that has some."""
        found = {
            name: host.disk.names(f"{host.paths.cache}/os/image")
            for name, host in self.whole.hosts.items()
        }
        return {name: files for name, files in found.items() if files}

    def downloads(self) -> list[str]:
        return [
            f"{name} {url}"
            for name, host in sorted(self.whole.hosts.items())
            for url in host.image_programs.downloads
        ]

    def install(self, node: str = "node3", name: str = "web1", **osparams: str) -> Any:
        return self.whole.do(
            "OP_INSTANCE_CREATE",
            instance_name=name,
            mode="create",
            disk_template="plain",
            disks=[{"size": 1024}],
            nics=[],
            os_type="image",
            osparams=osparams,
            pnode=node,
            start=False,
            name_check=False,
            ip_check=False,
            ignore_ipolicy=True,
        )


class AdditionTests(ImageCluster):
    def test_an_image_is_downloaded_once_and_copied_to_a_second_node(self) -> None:
        self.assertEqual(self.add(), DIGEST)
        self.assertEqual(self.downloads(), [f"node1 {URL}"])
        self.assertEqual(self.copies(), TWO_COPIES)
        nodes = tuple(sorted(uuid_of("node", name) for name in ("node1", "node2")))
        expected = LibraryImage(
            uuid="debian",
            created=int(self.image().created),
            digest=DIGEST,
            size=4096,
            virtual_size=4096,
            format="raw",
            url=URL,
            checksum=DIGEST,
            nodes=nodes,
        )
        self.assertEqual(replace(self.image(), nodes=tuple(sorted(self.image().nodes))), expected)

    def test_another_node_may_download_it(self) -> None:
        self.add(node="node3")
        self.assertEqual(self.downloads(), [f"node3 {URL}"])

    def test_a_second_copy_that_fails_is_no_failure(self) -> None:
        for name in ("node2", "node3"):
            self.whole.network.remove(name)
        self.add()
        self.assertEqual(self.image().nodes, (uuid_of("node", "node1"),))
        self.assertIn("image debian is only on node1", self.whole.said)

    def test_an_upload_becomes_an_image_and_is_removed(self) -> None:
        host = self.whole.hosts["node2"]
        host.disk.add_folder(host.paths.uploads, 0o700)
        host.disk.put(f"{host.paths.uploads}/{UPLOAD}", CONTENT, 0o600, 0.0)
        self.do("OP_IMAGE_ADD", image_name="mine", upload=UPLOAD, node="node2")
        self.assertEqual((self.image("mine").digest, self.image("mine").url), (DIGEST, ""))
        self.assertEqual(host.disk.names(host.paths.uploads), [])

    def test_an_upload_that_is_no_image_is_removed_as_well(self) -> None:
        host = self.whole.hosts["node1"]
        host.disk.add_folder(host.paths.uploads, 0o700)
        host.disk.put(f"{host.paths.uploads}/{UPLOAD}", b"hello", 0o600, 0.0)
        said = self.refusal("OP_IMAGE_ADD", image_name="mine", upload=UPLOAD, node="node1")
        self.assertIn("is neither a qcow2 image nor a raw disk", said)
        self.assertEqual((host.disk.names(host.paths.uploads), self.copies()), ([], {}))

    def test_another_content_than_the_wanted_one_leaves_nothing(self) -> None:
        fields = {"image_name": "x", "url": URL, "checksum": OTHER}
        self.assertIn("check the URL and the checksum", self.refusal("OP_IMAGE_ADD", **fields))
        self.assertEqual((self.copies(), dict(self.whole.state.images)), ({}, {}))

    def test_an_image_that_no_instance_may_have_is_refused(self) -> None:
        huge = qcow2(size=2 << 40)
        for host in self.whole.hosts.values():
            host.image_programs.internet = {URL: huge}
        digest = f"sha256:{hashlib.sha256(huge).hexdigest()}"
        said = self.refusal("OP_IMAGE_ADD", image_name="x", url=URL, checksum=digest)
        self.assertIn("the instance policies allow at most 1048576 MiB; make the image", said)
        self.assertEqual(self.copies(), {})

    def test_a_canceled_download_is_continued_by_the_next_job(self) -> None:
        self.whole.memory.progress.canceled = lambda: True
        doing = self.whole.do("OP_IMAGE_ADD", image_name="x", url=URL, checksum=DIGEST)
        self.failureResultOf(doing, JobCanceled)
        [[part]] = self.copies().values()
        self.assertRegex(part, "^download-[0-9a-f]{64}.incoming$")
        self.whole.memory.progress.canceled = lambda: False
        self.add()
        self.assertEqual(self.copies(), TWO_COPIES)

    def test_the_download_of_a_job_that_was_lost_is_taken_over(self) -> None:
        host = self.whole.hosts["node1"]
        host.image_programs.takes = 1000.0
        sink = ImageData(file=f"download-{hashlib.sha256(URL.encode()).hexdigest()}")
        lost = StartImport(source=UrlSource(url=URL), sink=sink)
        node = self.whole.state.node("node1")
        self.successResultOf(self.whole.network.ask(node, lost))
        host.image_programs.takes = 0.0
        self.add()
        self.assertIn("waiting: node1: another job transfers this image", self.whole.said)
        self.assertEqual(self.copies(), TWO_COPIES)

    def test_everything_that_is_missing_is_named(self) -> None:
        for fields, words in (
            ({}, ["url: give the URL of the image, or upload a file"]),
            ({"url": URL}, ["checksum: is required with a URL, unless there is a signature"]),
            ({"url": "ftp://x/y", "checksum": DIGEST}, ["url: must begin with http://"]),
            ({"url": URL, "signature": f"{URL}.sig"}, ["key: a signature and a key are needed"]),
            ({"upload": "../x"}, ["upload: is not the name", "node: is required with an upload"]),
            ({"url": URL, "signature": f"{URL}.sig", "key": "x"}, ["key: must be an OpenPGP"]),
            (
                {"upload": UPLOAD, "node": "node1", "signature": f"{URL}.sig", "key": KEY},
                ["signature: is for images from a URL"],
            ),
        ):
            doing = self.whole.do("OP_IMAGE_ADD", image_name="x", **fields)
            said = str(self.failureResultOf(doing, Invalid).value)
            for each in words:
                self.assertIn(each, said)

    def test_a_name_that_means_something_else_is_refused(self) -> None:
        fields = {"url": URL, "checksum": DIGEST}
        said = self.refusal("OP_IMAGE_ADD", image_name="default", **fields)
        self.assertIn("image_name: default has another meaning", said)

    def test_a_name_is_used_once(self) -> None:
        self.add()
        fields = {"image_name": "debian", "url": URL, "checksum": DIGEST}
        self.assertIn("already exists", self.refusal("OP_IMAGE_ADD", **fields))
        self.assertEqual(len(self.downloads()), 1)


class RemovalTests(ImageCluster):
    def test_an_image_goes_from_all_nodes(self) -> None:
        self.add()
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        self.assertEqual((self.copies(), dict(self.whole.state.images)), ({}, {}))

    def test_the_copies_of_another_image_stay(self) -> None:
        self.add()
        self.add("same")
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        self.assertEqual(len(self.copies()), 2)

    def test_a_copy_on_a_node_that_is_away_is_named(self) -> None:
        self.add()
        self.whole.network.remove("node2")
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        self.assertIn("a copy stays on node2", self.whole.said)

    def test_instances_that_cannot_be_reinstalled_are_named(self) -> None:
        self.add()
        self.successResultOf(self.install(image="debian"))
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        self.assertIn("need another image to be reinstalled: web1", self.whole.said)

    def test_another_name_is_given(self) -> None:
        self.add()
        result = self.do("OP_IMAGE_RENAME", image_name="debian", new_name="bookworm")
        self.assertEqual((result, self.image("bookworm").digest), ("bookworm", DIGEST))


class InstallationTests(ImageCluster):
    def setUp(self) -> None:
        super().setUp()
        self.add()

    def osparams(self) -> dict[str, Any]:
        return self.whole.state.instance("web1").osparams

    def test_a_node_without_a_copy_gets_it_from_another_one(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.assertEqual(self.downloads(), [f"node1 {URL}"])
        self.assertEqual(self.copies()["node3"], [f"sha256-{HEX}"])
        self.assertIn(uuid_of("node", "node3"), self.image().nodes)
        [ran] = self.created
        self.assertEqual((ran.env["OSP_IMAGE"], ran.env["OSP_CHECKSUM"]), ("debian", DIGEST))

    def test_the_digest_is_recorded_when_the_job_runs(self) -> None:
        self.successResultOf(self.install(image="debian", user="ann"))
        expected = {"image": "debian", "checksum": DIGEST, "user": "ann"}
        self.assertEqual(self.osparams(), expected)

    def test_an_unknown_image_and_another_digest_are_refused(self) -> None:
        for osparams, words in (
            ({"image": "fedora"}, "image fedora does not exist; see gnt-os image list"),
            ({"image": "debian", "checksum": OTHER}, f"image debian has the digest {DIGEST}, not"),
        ):
            failure = self.failureResultOf(self.install(**osparams), Refused)
            self.assertIn(words, str(failure.value))

    def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(self) -> None:
        for host in self.whole.hosts.values():
            host.image_programs.internet = {URL: qcow2(size=3 << 30)}
        digest = f"sha256:{hashlib.sha256(qcow2(size=3 << 30)).hexdigest()}"
        self.add("large", checksum=digest)
        failure = self.failureResultOf(self.install(image="large"), Refused)
        said = "image large needs 3072 MiB, and the first disk has 1024 MiB; give a larger one"
        self.assertEqual(str(failure.value), said)
        self.assertEqual(self.created, [])

    def test_images_of_other_definitions_are_their_own_business(self) -> None:
        fields = {"instance_name": "web1", "mode": "create", "disk_template": "diskless"}
        self.do(
            "OP_INSTANCE_CREATE",
            **fields,
            nics=[],
            disks=[],
            os_type="noop",
            osparams={"image": "fedora"},
            pnode="node1",
            start=False,
            name_check=False,
            ip_check=False,
            ignore_ipolicy=True,
        )
        self.assertEqual(self.osparams(), {"image": "fedora"})

    def test_a_default_of_the_cluster_may_name_the_image(self) -> None:
        self.do("OP_CLUSTER_SET_PARAMS", osparams={"image": {"image": "debian"}})
        self.successResultOf(self.install())
        self.assertEqual(self.osparams(), {"image": "debian", "checksum": DIGEST})

    def test_a_changed_copy_is_replaced_before_it_is_used(self) -> None:
        host = self.whole.hosts["node1"]
        path = f"{host.paths.cache}/os/image/sha256-{HEX}"
        host.disk.put(path, raw_image(b"evil"), 0o600, 0.0)
        self.successResultOf(self.install("node1", image="debian"))
        self.assertEqual(host.disk.contents()[path], CONTENT)
        self.assertEqual(self.downloads(), [f"node1 {URL}"])
        self.flushLoggedErrors()

    def test_a_changed_source_is_passed_over_and_forgotten(self) -> None:
        host = self.whole.hosts["node1"]
        host.disk.put(f"{host.paths.cache}/os/image/sha256-{HEX}", raw_image(b"x"), 0o600, 0.0)
        self.successResultOf(self.install(image="debian"))
        self.assertEqual(sorted(self.copies()), ["node2", "node3"])
        self.assertNotIn(uuid_of("node", "node1"), self.image().nodes)
        self.assertIn("cannot be copied from node1 to node3", self.whole.said)
        self.flushLoggedErrors()

    def test_without_any_copy_it_is_downloaded_again(self) -> None:
        for name in ("node1", "node2"):
            host = self.whole.hosts[name]
            host.disk.take_folder(f"{host.paths.cache}/os/image")
        self.successResultOf(self.install(image="debian"))
        self.assertEqual(self.downloads(), [f"node1 {URL}", f"node3 {URL}"])

    def test_an_image_that_is_nowhere_any_more_is_refused_with_what_to_do(self) -> None:
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        host = self.whole.hosts["node1"]
        host.disk.add_folder(host.paths.uploads, 0o700)
        host.disk.put(f"{host.paths.uploads}/{UPLOAD}", CONTENT, 0o600, 0.0)
        self.do("OP_IMAGE_ADD", image_name="debian", upload=UPLOAD, node="node1")
        for each in ("node1", "node2"):
            self.whole.network.remove(each)
        image, node = self.image(), self.whole.state.node("node3")
        doing = Deferred.fromCoroutine(require_copy(image, node, self.whole.tools))
        said = str(self.failureResultOf(doing, Failed).value)
        self.assertIn("no node that can be reached has an intact copy of image debian", said)
        self.assertIn("gnt-os image remove debian, then gnt-os image add debian", said)

    def test_a_reinstallation_uses_the_recorded_image(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.do("OP_IMAGE_RENAME", image_name="debian", new_name="bookworm")
        self.add("debian", OTHER_URL, OTHER)
        self.do("OP_INSTANCE_REINSTALL", instance_name="web1")
        self.assertEqual(self.created[-1].env["OSP_CHECKSUM"], DIGEST)

    def test_a_reinstallation_says_that_the_image_has_changed(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        said = self.refusal("OP_INSTANCE_REINSTALL", instance_name="web1")
        self.assertIn("debian is not in the library any more", said)
        self.add("debian", OTHER_URL, OTHER)
        said = self.refusal("OP_INSTANCE_REINSTALL", instance_name="web1")
        self.assertIn(f"debian has the digest {OTHER} now; to install another image", said)
        self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", osparams={"image": "debian"})
        self.assertEqual(self.osparams(), {"image": "debian", "checksum": OTHER})
        self.do("OP_INSTANCE_REINSTALL", instance_name="web1")
        self.assertEqual(self.created[-1].env["OSP_CHECKSUM"], OTHER)

    def test_an_instance_of_another_definition_gets_an_image(self) -> None:
        self.successResultOf(self.install(image="debian"))
        fields = {"instance_name": "web1", "osparams": {}}
        self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", os_name="noop")
        for host in self.whole.hosts.values():
            host.disk.take_folder(f"{host.paths.cache}/os/image")
        self.do("OP_INSTANCE_REINSTALL", **fields, os_type="image")
        self.assertEqual(self.created[-1].env["OSP_CHECKSUM"], DIGEST)
        self.assertEqual(list(self.copies()), ["node3"])

    def test_another_image_may_be_installed_once(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.add("other", OTHER_URL, OTHER)
        osparams = {"image": "other"}
        self.do("OP_INSTANCE_REINSTALL", instance_name="web1", osparams=osparams)
        self.assertEqual(self.created[-1].env["OSP_CHECKSUM"], OTHER)
        self.assertEqual(self.osparams()["checksum"], DIGEST)

    def test_a_change_of_other_parameters_keeps_the_image(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.do("OP_IMAGE_REMOVE", image_name="debian")
        self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", osparams={"user": "ann"})
        expected = {"image": "debian", "checksum": DIGEST, "user": "ann"}
        self.assertEqual(self.osparams(), expected)

    def test_the_digest_of_a_name_goes_with_it(self) -> None:
        self.successResultOf(self.install(image="debian"))
        self.do("OP_INSTANCE_SET_PARAMS", instance_name="web1", osparams={"image": "/srv/disk"})
        self.assertEqual(self.osparams(), {"image": "/srv/disk"})

    def test_two_installations_transfer_the_image_once(self) -> None:
        clock = Clock()
        whole = self.make_cluster(clock)
        fields = {"image_name": "debian", "url": URL, "checksum": DIGEST}
        adding = Deferred.fromCoroutine(whole.do("OP_IMAGE_ADD", **fields))
        clock.pump([0.1] * 100)
        self.successResultOf(adding)
        node = whole.state.node("node3")
        work = [
            Deferred.fromCoroutine(require_copy(self.image(), node, whole.tools)) for _ in range(2)
        ]
        clock.pump([0.1] * 100)
        for each in work:
            self.successResultOf(each)
        self.assertEqual(len(whole.hosts["node3"].streams.flows), 1)
        self.assertIn("waiting for image debian, which another job transfers", whole.said)

    def test_a_failed_installation_names_its_node(self) -> None:
        for host in self.whole.hosts.values():
            host.image_programs.internet = {}
            host.disk.take_folder(f"{host.paths.cache}/os/image")
        failure = self.failureResultOf(self.install(image="debian"), Failed)
        self.assertIn("cannot be downloaded: the server answers 404", str(failure.value))
        self.assertEqual((len(self.whole.state.instances), self.created), (0, []))
