# SPDX-License-Identifier: BSD-2-Clause
"""Disks of external storage keep the contract; what goes wrong in scripts is explained."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.model.disk import Disk
from ganeti.schema.records import replace
from ganeti.storage.ext.attachments import (
    MAX_OUTPUT,
    Attachment,
    AttachmentRecords,
    parse_attachment,
)
from ganeti.storage.ext.provider_scripts import ProviderScripts, make_environment
from ganeti.storage.ext.providers import Providers
from ganeti.storage.ext.volumes import ExtVolumes
from ganeti.storage.interfaces import IVolumes, LocalState, VolumeStatus
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.external_provider import MemoryArray, MemoryProvider
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import MemoryProcesses, Script
from tests.storage.external_volumes import ExternalVolumesContract

FOLDER = "/srv/ganeti/extstorage/mem"
RECORDS = "/run/ganeti/extstorage"


class Bench:
    """A provider in memory, and the driver that runs its scripts."""

    def __init__(self, without: tuple[str, ...] = ()) -> None:
        self.clock, self.disk, self.images = Clock(), MemoryDisk(), MemoryImages()
        self.provider = MemoryProvider(
            MemoryArray(room=1024),
            self.disk,
            self.images,
            FOLDER,
            parameters={"pool": "The pool.", "Size_Class": "Fast or slow."},
            without=without,
        )
        self.processes = MemoryProcesses(self.clock, self.provider.programs)
        files = MemoryFiles(self.disk)
        self.volumes = ExtVolumes(
            Providers(files, ("/srv/ganeti/extstorage", "/usr/lib/extstorage")),
            ProviderScripts(self.processes, files, logs="/log", seconds=self.clock.seconds),
            AttachmentRecords(files, RECORDS),
            files,
            self.images,
        )

    @property
    def scripts(self) -> list[str]:
        """The scripts that were run, in their order."""
        return [script for script, _ in self.provider.calls]


class MemoryProviderTests(ExternalVolumesContract, SynchronousTestCase):
    def make(self) -> IVolumes:
        return Bench().volumes


class ExtVolumesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.volumes = self.bench.volumes
        self.disk = a_disk("one", logical_id=("mem", "one.ext.disk0"), size=64)

    def failure(self, work: object, kind: type[GanetiError] = Failed) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(work), kind).value)  # type: ignore[arg-type]

    def done(self, work: object) -> object:
        return self.successResultOf(Deferred.fromCoroutine(work))  # type: ignore[arg-type]

    def create(self) -> None:
        self.done(self.volumes.create(self.disk, owner="web1", primary=True))

    def attach_with(self, script: Script) -> str:
        self.create()
        self.bench.provider.trouble["attach"] = script
        return self.failure(self.volumes.attach(self.disk, primary=True))

    def test_a_new_volume_has_its_size_and_the_name_of_its_instance(self) -> None:
        self.create()
        [(script, variables), (_, info)] = self.bench.provider.calls
        self.assertEqual((script, variables["VOL_SIZE"]), ("create", "64"))
        self.assertEqual(info["VOL_METADATA"], "originstname+web1")

    def test_scripts_get_the_variables_of_the_protocol_and_no_others(self) -> None:
        params = {"pool": "fast", "access": "kernelspace"}
        disk = replace(self.disk, params=params, name="root")
        found = make_environment(disk)
        self.assertEqual(found.pop("PATH").split(":")[-1], "/bin")
        expected = {"NAME": "one.ext.disk0", "UUID": disk.uuid, "CNAME": "root"}
        self.assertEqual(
            found,
            {f"VOL_{name}": value for name, value in expected.items()} | {"EXTP_POOL": "fast"},
        )

    def test_growing_names_the_old_and_the_new_size(self) -> None:
        self.create()
        self.done(self.volumes.grow(self.disk, 36))
        _, found = self.bench.provider.calls[-1]
        self.assertEqual((found["VOL_SIZE"], found["VOL_NEW_SIZE"]), ("64", "100"))

    def test_the_primary_node_opens_a_volume_for_itself_and_closes_it(self) -> None:
        self.create()
        self.done(self.volumes.attach(self.disk, primary=True))
        self.done(self.volumes.detach(self.disk))
        expected = ["create", "setinfo", "attach", "open", "close", "detach"]
        self.assertEqual(self.bench.scripts, expected)
        self.assertEqual(self.bench.provider.calls[3][1]["VOL_OPEN_EXCLUSIVE"], "True")

    def test_a_migration_opens_it_for_both_nodes(self) -> None:
        self.create()
        self.done(self.volumes.open_volume(self.disk, exclusive=False))
        self.assertEqual(self.bench.provider.calls[-1][1]["VOL_OPEN_EXCLUSIVE"], "False")

    def test_a_provider_without_open_and_close_is_not_asked_to(self) -> None:
        self.bench = Bench(without=("open", "close"))
        self.volumes = self.bench.volumes
        self.create()
        self.done(self.volumes.attach(self.disk, primary=True))
        self.done(self.volumes.detach(self.disk))
        self.assertEqual(self.bench.scripts, ["create", "setinfo", "attach", "detach"])

    def test_what_is_attached_is_known_after_a_restart(self) -> None:
        self.create()
        self.done(self.volumes.attach(self.disk, primary=True))
        found = AttachmentRecords(MemoryFiles(self.bench.disk), RECORDS)
        attached = Attachment("/dev/ext/one.ext.disk0")
        self.assertEqual(found.read_record("one.ext.disk0"), attached)
        self.assertEqual(self.bench.disk.names(RECORDS), ["one.ext.disk0"])

    def test_nothing_is_claimed_of_a_volume_that_is_not_attached(self) -> None:
        found = self.done(self.volumes.describe([self.disk]))
        self.assertEqual(found, [VolumeStatus(path="", local=LocalState.UNKNOWN)])

    def test_a_device_that_is_gone_makes_a_disk_faulty(self) -> None:
        self.create()
        self.done(self.volumes.attach(self.disk, primary=True))
        self.bench.images.devices.clear()
        found = self.done(self.volumes.describe([self.disk]))
        expected = VolumeStatus(path="", degraded=True, local=LocalState.FAULTY)
        self.assertEqual(found, [expected])

    def test_a_damaged_record_is_reported(self) -> None:
        self.bench.disk.add_folder(RECORDS, 0o755)
        self.bench.disk.put(f"{RECORDS}/one.ext.disk0", b"{", 0o600, 0.0)
        self.assertIn("is damaged", self.failure(self.volumes.describe([self.disk])))

    def test_an_attached_volume_is_detached_before_it_is_removed(self) -> None:
        self.create()
        self.done(self.volumes.attach(self.disk, primary=False))
        self.done(self.volumes.remove(self.disk))
        self.assertEqual(self.bench.scripts[2:], ["attach", "close", "detach", "remove"])

    def test_a_script_that_fails_is_named_with_its_log(self) -> None:
        said = self.attach_with(Script(3, err=b"target unreachable\n"))
        self.assertIn("script attach of external storage provider mem failed for disk/0", said)
        self.assertIn("exited with code 3; the end of its log /log/attach-mem-one", said)
        self.assertTrue(said.endswith("target unreachable"))

    def test_a_script_that_is_killed_or_says_nothing_is_told_apart(self) -> None:
        self.assertIn("killed by signal 9 without any output", self.attach_with(Script(-9)))

    def test_a_script_that_hangs_is_killed(self) -> None:
        self.create()
        self.bench.provider.trouble["attach"] = Script(hangs=True)
        attaching = Deferred.fromCoroutine(self.volumes.attach(self.disk, primary=True))
        self.bench.clock.advance(241)
        said = str(self.failureResultOf(attaching, Failed).value)
        self.assertIn("did not end within 240 s and was killed", said)
        self.assertEqual(len(self.bench.processes.killed), 1)

    def test_other_scripts_of_a_volume_wait_for_one_that_hangs(self) -> None:
        self.create()
        self.bench.provider.trouble["attach"] = Script(hangs=True)
        attaching = Deferred.fromCoroutine(self.volumes.attach(self.disk, primary=True))
        detaching = Deferred.fromCoroutine(self.volumes.detach(self.disk))
        self.assertNotIn("detach", self.bench.scripts)
        self.bench.clock.advance(241)
        self.failureResultOf(attaching, Failed)
        self.successResultOf(detaching)

    def test_nonsense_instead_of_a_path_is_reported(self) -> None:
        for out, expected in (
            (b"", "neither a path nor a URI"),
            (b"dev/sda\n", "'dev/sda' instead of an absolute path"),
            (b"\xff\n", "not UTF-8"),
            (b"/dev/none\n", "no block device or file"),
            (b"/dev/x\nnonsense\n", "'nonsense' instead of HYPERVISOR:URI"),
            (b"x" * (MAX_OUTPUT + 1), f"{MAX_OUTPUT + 1} bytes instead of a path"),
        ):
            self.bench = Bench()
            self.volumes = self.bench.volumes
            self.assertIn(expected, self.attach_with(Script(out=out)))
            self.assertEqual(self.bench.disk.names(RECORDS), [])

    def test_parameters_that_a_provider_does_not_have_are_refused(self) -> None:
        disk = replace(self.disk, params={"size_class": "fast", "colour": "red"})
        said = self.failure(self.volumes.check_parameters(disk), Refused)
        self.assertIn("colour is not a parameter of external storage provider mem", said)
        self.assertIn("pool, Size_Class", said)
        self.assertEqual(self.bench.scripts, [])

    def test_the_script_verify_has_the_last_word_about_parameters(self) -> None:
        disk = replace(self.disk, params={"pool": "none"})
        self.done(self.volumes.check_parameters(disk))
        self.bench.provider.trouble["verify"] = Script(1, err=b"no pool none\n")
        said = self.failure(self.volumes.check_parameters(disk), Refused)
        self.assertTrue(said.startswith(f"the parameters of {disk.iv_name} are rejected: script"))

    def test_a_provider_that_is_missing_is_named(self) -> None:
        disk = replace(self.disk, logical_id=("other", "one.ext.disk0"))
        said = self.failure(self.volumes.attach(disk, primary=True), Refused)
        self.assertIn("this node has no external storage provider other", said)
        self.assertIn("/srv/ganeti/extstorage or /usr/lib/extstorage", said)

    def test_a_provider_without_snapshots_refuses_them(self) -> None:
        bench = Bench(without=("snapshot",))
        said = self.failure(bench.volumes.snapshot(self.disk, "s"), Refused)
        self.assertIn("has no script for snapshots", said)

    def test_a_snapshot_has_the_name_that_the_protocol_fixes(self) -> None:
        self.create()
        taken = self.done(self.volumes.snapshot(self.disk, "s"))
        assert isinstance(taken, Disk)
        self.assertEqual(taken.logical_id, ("mem", "one.ext.disk0.snap"))

    def test_the_owner_of_a_volume_can_change(self) -> None:
        self.create()
        self.done(self.volumes.set_owner(self.disk, "web2"))
        [volume] = self.bench.provider.array.volumes.values()
        self.assertEqual(volume.info, "originstname+web2")

    def test_a_name_that_is_no_volume_is_refused_before_any_script(self) -> None:
        for name in ("../x", "", "a/b", "-x", 7):
            disk = replace(self.disk, logical_id=("mem", name))
            error = self.failureResultOf(Deferred.fromCoroutine(self.volumes.remove(disk)), Failed)
            self.assertEqual(error.value.code, Code.INPUT)
        self.assertEqual(self.bench.scripts, [])


class ProvidersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.providers = Providers(MemoryFiles(self.disk), ("/a", "/b"))

    def install(self, folder: str, without: tuple[str, ...] = ()) -> None:
        MemoryProvider(MemoryArray(), self.disk, MemoryImages(), folder, without=without)

    def test_the_first_provider_of_a_name_counts(self) -> None:
        self.install("/b/one")
        self.install("/a/one", without=("open",))
        self.install("/b/two")
        found = [(each.name, each.path) for each in self.providers.all_providers()]
        self.assertEqual(found, [("one", "/a/one"), ("two", "/b/two")])

    def test_what_a_provider_lacks_is_said(self) -> None:
        self.install("/a/one", without=("attach", "open"))
        self.disk.put("/a/one/close", b"", 0o644, 0.0)
        [found] = self.providers.all_providers()
        self.assertEqual(found.diagnosis, "attach is missing; close is not an executable file")
        error = self.assertRaises(Refused, self.providers.find_provider, "one")
        self.assertIn("in /a/one cannot be used: attach is missing", str(error))

    def test_parameters_are_read_with_their_descriptions(self) -> None:
        self.install("/a/one")
        self.disk.put("/a/one/parameters.list", b"# all\npool\tThe  pool.\nbare\n", 0o644, 0.0)
        found = self.providers.find_provider("one").parameters
        self.assertEqual(found, (("pool", "The  pool."), ("bare", "")))

    def test_a_name_that_leads_elsewhere_is_refused(self) -> None:
        for name in ("../a", "", "a b"):
            error = self.assertRaises(Refused, self.providers.find_provider, name)
            self.assertEqual(error.code, Code.INPUT)


class ParseTests(SynchronousTestCase):
    def test_further_lines_are_uris_by_hypervisor(self) -> None:
        found = parse_attachment(b"\nKVM:nbd:unix:/run/x\n\nxen-pvm:phy:/dev/x\n")
        uris = {"kvm": "nbd:unix:/run/x", "xen-pvm": "phy:/dev/x"}
        self.assertEqual(found, Attachment("", uris))

    def test_a_path_alone_is_enough(self) -> None:
        self.assertEqual(parse_attachment(b"/dev/rbd0"), Attachment("/dev/rbd0"))
