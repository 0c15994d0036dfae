# SPDX-License-Identifier: BSD-2-Clause
"""An export is complete or not there, and no path leads out of the folder of exports."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.node.exports import Exports
from ganeti.paths import Paths
from ganeti.rpc import transfers as calls
from ganeti.testing.disk import MemoryDisk, MemoryFiles


class ExportsCase(SynchronousTestCase):
    root = ""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.paths = Paths(self.root)
        self.folder = self.paths.exports
        self.disk.add_folder(self.folder, 0o750)
        self.exports = Exports(MemoryFiles(self.disk), self.paths)

    def put(self, name: str, content: bytes = b"x") -> None:
        path = f"{self.folder}/{name}"
        self.disk.add_folder(path.rpartition("/")[0], 0o750)
        self.disk.put(path, content, 0o600, 0.0)

    def content(self) -> dict[str, bytes]:
        found = self.disk.contents().items()
        return {path.removeprefix(f"{self.folder}/"): content for path, content in found}

    def finalize(self) -> None:
        call = calls.FinalizeExport(name="web1", description="[export]\n")
        self.successResultOf(self.exports.finalize(call))


class LifeTests(ExportsCase):
    def test_only_complete_exports_are_listed(self) -> None:
        self.put("web1/config.ini")
        self.put("db1.new/disk0")
        listed = self.successResultOf(self.exports.list(calls.ListExports()))
        self.assertEqual(listed, ["web1"])

    def test_a_complete_export_replaces_the_old_one(self) -> None:
        for name in ("web1/disk0", "web1/disk1", "web1.new/disk0"):
            self.put(name, name.encode())
        self.finalize()
        expected = {"web1/disk0": b"web1.new/disk0", "web1/config.ini": b"[export]\n"}
        self.assertEqual(self.content(), expected)

    def test_an_export_without_disks_is_complete_by_its_description(self) -> None:
        self.finalize()
        self.assertEqual(self.content(), {"web1/config.ini": b"[export]\n"})

    def test_whenever_it_fails_a_complete_export_stays_or_a_new_one_is_whole(self) -> None:
        failed = 0
        for at in range(1, 20):
            self.setUp()
            self.put("web1/config.ini", b"old")
            self.put("web1.new/disk0", b"new")
            self.disk.fail(self.disk.writes + at)
            errors: list[object] = []
            call = calls.FinalizeExport(name="web1", description="new")
            work = Deferred.fromCoroutine(self.exports.finalize(call))
            work.addErrback(errors.append)
            failed += bool(errors)
            whole = [
                each for each in ("web1", "web1.new") if f"{each}/config.ini" in self.content()
            ]
            self.assertTrue(whole, f"failure of write {at}")
        self.assertGreater(failed, 1)

    def test_incomplete_exports_of_an_earlier_daemon_are_removed(self) -> None:
        self.put("web1/config.ini")
        self.put("db1.new/disk0")
        self.successResultOf(self.exports.remove_incomplete())
        self.assertEqual(set(self.content()), {"web1/config.ini"})

    def test_an_export_is_removed_also_when_it_is_gone(self) -> None:
        self.put("web1/config.ini")
        for _ in range(2):
            self.successResultOf(self.exports.remove(calls.RemoveExportCall(name="web1")))
            self.assertEqual(self.content(), {})


class DumpTests(ExportsCase):
    def data(self, path: str) -> calls.ExportData:
        return calls.ExportData(path=path, dump="disk0")

    def test_a_dump_is_written_into_an_incomplete_export(self) -> None:
        path = self.successResultOf(self.exports.sink(self.data("web1.new")))
        self.assertEqual(path, f"{self.folder}/web1.new/disk0")

    def test_no_other_folder_is_written_to(self) -> None:
        for name in ("web1", "../web1.new", "/etc/web1.new", "a/web1.new", "web1.new/"):
            sinking = self.exports.sink(self.data(name))
            refused = self.failureResultOf(sinking, Refused).value
            self.assertIn("is not the name of an incomplete export (NAME.new)", str(refused))

    def test_a_dump_that_was_given_up_takes_its_export_with_it(self) -> None:
        for name in ("web1/disk0", "web1.new/disk0", "web1.new/disk1"):
            self.put(name)
        for name in ("web1", "web1.new", "/elsewhere/web1.new"):
            self.successResultOf(self.exports.give_up(self.data(name)))
        self.assertEqual(set(self.content()), {"web1/disk0"})

    def test_a_dump_is_read_where_it_is(self) -> None:
        self.put("web1/disk0")
        for name in ("web1", "./web1/", f"{self.folder}/web1"):
            found = self.exports.source(self.data(name))
            self.assertEqual(found, f"{self.folder}/web1/disk0")

    def test_an_export_without_the_dump_is_incomplete(self) -> None:
        with self.assertRaisesRegex(Refused, "the export is incomplete: .*web1/disk0") as caught:
            self.exports.source(self.data("web1"))
        self.assertEqual(caught.exception.code, Code.UNKNOWN)


class PathTests(ExportsCase):
    def describe(self, path: str) -> str:
        text: str = self.successResultOf(self.exports.describe(calls.DescribeExport(path=path)))
        return text

    def test_the_description_is_read_even_if_it_is_no_text(self) -> None:
        self.put("web1/config.ini", b"[export]\n\xff")
        self.assertEqual(self.describe("web1"), "[export]\n\ufffd")

    def test_an_export_that_does_not_exist_is_refused(self) -> None:
        self.put("file", b"")
        for path in ("web1", "file"):
            describing = self.exports.describe(calls.DescribeExport(path=path))
            refused = self.failureResultOf(describing, Refused).value
            self.assertIn("no export found: ", str(refused))
            self.assertEqual(refused.code, Code.UNKNOWN)

    def test_a_name_that_leads_out_of_the_folder_is_refused(self) -> None:
        for name in ("..", "../x", "a/../../x", ".", ""):
            with self.assertRaisesRegex(Refused, "is not below the export folder") as caught:
                self.exports.path(name)
            self.assertEqual(caught.exception.code, Code.INPUT)

    def test_another_folder_of_the_host_is_named_by_its_whole_path(self) -> None:
        self.assertEqual(self.exports.path("/mnt/old/web1/"), "/mnt/old/web1")


class RootTests(ExportsCase):
    """A node below a root folder of a host that has several."""

    root = "/node1"

    def test_whole_paths_are_below_the_root(self) -> None:
        for given in (
            "/mnt/web1",
            "/node1/mnt/web1",
            "/../mnt/web1",
            "/node1/../mnt/web1",
            "/node1/x/../../mnt/web1",
        ):
            self.assertEqual(self.exports.path(given), "/node1/mnt/web1")
