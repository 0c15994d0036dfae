# SPDX-License-Identifier: BSD-2-Clause
"""Scripts of OS definitions are run with their environment, and their logs are quoted."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Invalid, Refused
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.node import ValidateOS
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script
from tests.node.test_oses import SCRIPTS, a_file, put


class ScriptsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, clock = MemoryDisk(), Clock()
        put(self.disk, "/os/mini", parameters_list="greeting what to say\n")
        programs = {f"/os/mini/{name}": Script() for name in SCRIPTS}
        self.processes = MemoryProcesses(clock, programs)
        files = MemoryFiles(self.disk)
        definitions = OSDefinitions(files, ["/os"])
        self.scripts = OSScripts(
            definitions,
            self.processes,
            files,
            "/log/os",
            clock.seconds,
            cache="/cache",
            work="/run/seeds",
        )

    def ran(self) -> Ran:
        [ran] = self.processes.ran
        return ran

    def test_create_is_run_once_with_the_guest_in_its_environment(self) -> None:
        guest = a_guest("web1", os="mini", disks=[a_disk("a")])
        self.successResultOf(self.scripts.create(guest, ["/f/a"]))
        ran = self.ran()
        self.assertEqual(ran.argv, ("/os/mini/create",))
        self.assertEqual((ran.env["INSTANCE_NAME"], ran.env["DISK_0_PATH"]), ("web1", "/f/a"))
        self.assertNotIn("INSTANCE_REINSTALL", ran.env)
        self.assertEqual(ran.cwd, "/os/mini")
        self.assertRegex(str(ran.output), r"^/log/os/add-mini-web1-\d{4}-[\d_-]+\.log$")

    def test_a_reinstallation_says_so(self) -> None:
        self.successResultOf(self.scripts.create(a_guest(os="mini"), [], reinstall=True))
        self.assertEqual(self.ran().env["INSTANCE_REINSTALL"], "1")

    def test_a_failure_carries_the_last_lines_and_the_path_of_the_log(self) -> None:
        lines = "".join(f"line {i}\n" for i in range(100))
        self.processes.programs["/os/mini/create"] = Script(code=3, out=lines.encode())
        failure = self.failureResultOf(self.scripts.create(a_guest(os="mini"), []), Failed)
        message = str(failure.value)
        self.assertIn("could not install web1: its script create exited with code 3", message)
        self.assertIn(str(self.ran().output), message)
        self.assertIn("line 99", message)
        self.assertNotIn("line 79\n", message)

    def test_a_failure_without_words_says_that(self) -> None:
        self.processes.programs["/os/mini/create"] = Script(code=-9)
        failure = self.failureResultOf(self.scripts.create(a_guest(os="mini"), []), Failed)
        self.assertIn(
            "its script create was killed by signal 9 without any output", str(failure.value)
        )

    def test_a_definition_for_helper_guests_is_refused(self) -> None:
        put(self.disk, "/os/odd", without="create")
        a_file(self.disk, "/os/odd/create_untrusted", mode=0o755)
        self.failureResultOf(self.scripts.create(a_guest(os="odd"), []), Refused)

    def test_rename_knows_the_old_name(self) -> None:
        self.successResultOf(self.scripts.rename(a_guest("new1", os="mini"), [], "old1"))
        ran = self.ran()
        names = (ran.env["INSTANCE_NAME"], ran.env["OLD_INSTANCE_NAME"])
        self.assertEqual((ran.argv, names), (("/os/mini/rename",), ("new1", "old1")))

    def test_export_writes_to_a_file_and_announces_the_size(self) -> None:
        guest = a_guest(os="mini", disks=[a_disk("a"), a_disk("b")])
        work = self.scripts.export(guest, ["/f/a", "/f/b"], 1, sink="/x", announced="/size")
        self.successResultOf(work)
        ran = self.ran()
        self.assertEqual(ran.files, {1: "/x", 3: "/size"})
        variables = (ran.env["EXP_SIZE_FD"], ran.env["EXPORT_INDEX"], ran.env["EXPORT_DEVICE"])
        self.assertEqual(variables, ("3", "1", "/f/b"))
        self.assertIn("export-mini-web1-disk1-", str(ran.output))

    def test_an_import_reads_from_a_file(self) -> None:
        guest = a_guest(os="mini", disks=[a_disk("a")])
        self.successResultOf(self.scripts.restore(guest, ["/f/a"], 0, source="/x"))
        ran = self.ran()
        self.assertEqual((ran.argv, ran.files), (("/os/mini/import",), {0: "/x"}))
        self.assertEqual(ran.env["IMPORT_DEVICE"], "/f/a")

    def with_seed_script(self, **files: str) -> None:
        """Give the definition a script that writes these files."""
        a_file(self.disk, "/os/mini/seed", mode=0o755)

        def write(ran: Ran) -> Script:
            folder = MemoryFiles(self.disk).stat(ran.env["SEED_FOLDER"])
            assert folder is not None
            self.assertEqual(folder.mode, 0o700)
            for name, text in files.items():
                a_file(self.disk, f"{ran.env['SEED_FOLDER']}/{name}", text)
            return Script()

        self.processes.programs["/os/mini/seed"] = write

    def test_a_definition_without_a_seed_script_writes_nothing(self) -> None:
        for os in ("mini", "mini+small", "missing", "", "../mini"):
            seed = self.scripts.write_seed(a_guest(os=os), [])
            self.assertEqual(self.successResultOf(seed), {}, os)
        self.assertEqual(self.processes.ran, [])

    def test_the_files_of_a_seed_script_are_read_and_removed(self) -> None:
        self.with_seed_script(meta="name: web1", user="secret")
        guest = a_guest("web1", os="mini", disks=[a_disk("a")])
        a_file(self.disk, f"/run/seeds/{guest.uuid}/left", "by a killed daemon")
        found = self.successResultOf(self.scripts.write_seed(guest, ["/f/a"]))
        self.assertEqual(found, {"meta": b"name: web1", "user": b"secret"})
        self.assertEqual(MemoryFiles(self.disk).names("/run/seeds"), [])
        self.assertEqual(self.ran().env["INSTANCE_NAME"], "web1")
        self.assertEqual(self.ran().env["DISK_0_PATH"], "/f/a")

    def test_nothing_is_left_of_a_seed_script_that_fails(self) -> None:
        a_file(self.disk, "/os/mini/seed", mode=0o755)
        self.processes.programs["/os/mini/seed"] = Script(code=1, out=b"no key\n")
        failure = self.failureResultOf(self.scripts.write_seed(a_guest(os="mini"), []), Failed)
        self.assertIn("could not prepare the boot of web1: its script seed", str(failure.value))
        self.assertEqual(MemoryFiles(self.disk).names("/run/seeds"), [])

    def test_each_definition_has_a_folder_for_what_it_keeps(self) -> None:
        self.successResultOf(self.scripts.create(a_guest(os="mini"), []))
        self.assertEqual(self.ran().env["OS_CACHE_FOLDER"], "/cache/mini")

    def test_parameters_are_verified_by_the_script(self) -> None:
        call = ValidateOS(os="mini", osparams={"greeting": "hi"})
        self.successResultOf(self.scripts.verify(call))
        self.assertEqual(self.ran().argv, ("/os/mini/verify", "parameters"))
        self.assertEqual(self.ran().env["OSP_GREETING"], "hi")
        self.assertNotIn("INSTANCE_NAME", self.ran().env)

    def test_runs_at_the_same_time_have_a_log_each(self) -> None:
        self.processes.programs["/os/mini/verify"] = Script(hangs=True)
        call = ValidateOS(os="mini", osparams={})
        runs = [Deferred.fromCoroutine(self.scripts.verify(call)) for _ in range(3)]
        self.assertEqual(len({ran.output for ran in self.processes.ran}), 3)
        for run in runs:
            run.cancel()
            self.failureResultOf(run, CancelledError)

    def test_parameters_that_the_definition_does_not_list_are_all_named(self) -> None:
        call = ValidateOS(os="mini", osparams={"b": "1", "greeting": "hi", "a": "2"})
        failure = self.failureResultOf(self.scripts.verify(call), Invalid)
        self.assertEqual(
            [problem.path for problem in failure.value.problems], ["osparams/a", "osparams/b"]
        )

    def test_variants_are_checked_unless_forced(self) -> None:
        put(self.disk, "/os/two", variants_list="small\nlarge\n")
        self.processes.programs["/os/two/verify"] = Script()
        for os, why in {
            "two": "has variants, and none is given; use one of two.small, two.large",
            "two+huge": "has no variant huge; use one of two.small",
            "mini+small": "has no variants; use mini",
        }.items():
            work = self.scripts.verify(ValidateOS(os=os, osparams={}))
            self.assertRegex(str(self.failureResultOf(work, Refused).value), why)
        forced = ValidateOS(os="two+huge", osparams={}, force_variant=True)
        self.successResultOf(self.scripts.verify(forced))
