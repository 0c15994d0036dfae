# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions are found, and what is wrong with them is said."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.node.oses import OSDefinitions
from ganeti.rpc.node import OSDefinitionReport
from ganeti.testing.disk import MemoryDisk, MemoryFiles

SCRIPTS = ("create", "import", "export", "rename", "verify")


def a_file(disk: MemoryDisk, path: str, text: str = "", mode: int = 0o644) -> None:
    disk.add_folder(path.rpartition("/")[0], 0o755)
    disk.put(path, text.encode(), mode, 0)


def put(disk: MemoryDisk, folder: str, *, without: str = "", **texts: str) -> None:
    """Put a complete definition of API 20, but for ``without``, into a folder."""
    files = {"ganeti_api_version": "20\n", "parameters_list": "", **texts}
    for name, text in files.items():
        a_file(disk, f"{folder}/{name.replace('_list', '.list')}", text)
    for name in SCRIPTS:
        if name != without:
            a_file(disk, f"{folder}/{name}", mode=0o755)


class OSDefinitionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        files = MemoryFiles(self.disk, Clock())
        self.definitions = OSDefinitions(files, ["/srv/os", "/usr/os"])

    def only(self) -> OSDefinitionReport:
        [definition] = self.definitions.all_definitions()
        return definition

    def diagnosis(self, changes: Mapping[str, str] | None = None, without: str = "") -> str:
        put(self.disk, "/srv/os/mini", without=without, **(changes or {}))
        self.assertFalse(self.only().valid)
        return self.only().diagnosis

    def test_a_complete_definition_is_valid(self) -> None:
        parameters = "greeting  What to say\nquiet\n"
        variants = "# comment\n\n small \nlarge\n"
        put(self.disk, "/srv/os/mini", variants_list=variants, parameters_list=parameters)
        expected = OSDefinitionReport(
            name="mini",
            path="/srv/os/mini",
            valid=True,
            diagnosis="",
            variants=("small", "large"),
            parameters=(("greeting", "What to say"), ("quiet", "")),
            api_versions=(20,),
        )
        self.assertEqual(self.definitions.all_definitions(), [expected])

    def test_the_first_of_a_name_counts_and_odd_names_do_not(self) -> None:
        put(self.disk, "/usr/os/mini")
        put(self.disk, "/srv/os/mini")
        put(self.disk, "/srv/os/not.one")
        put(self.disk, "/usr/os/b")
        a_file(self.disk, "/usr/os/README")
        found = [definition.path for definition in self.definitions.all_definitions()]
        self.assertEqual(found, ["/usr/os/b", "/srv/os/mini"])

    def test_every_missing_file_is_named(self) -> None:
        a_file(self.disk, "/srv/os/mini/ganeti_api_version", "20")
        self.assertEqual(
            self.only().diagnosis,
            "create is missing; export is missing; import is missing; rename is missing;"
            " verify is missing; parameters.list is missing",
        )

    def test_a_script_must_be_executable(self) -> None:
        a_file(self.disk, "/srv/os/mini/export")
        put(self.disk, "/srv/os/mini", without="export")
        self.assertEqual(self.only().diagnosis, "export is not an executable file")

    def test_a_seed_script_is_optional_and_must_be_executable(self) -> None:
        put(self.disk, "/usr/os/mini")
        self.assertFalse(self.definitions.has_seed("mini+small"))
        a_file(self.disk, "/usr/os/mini/seed", mode=0o755)
        self.assertTrue(self.definitions.has_seed("mini+small"))
        self.assertTrue(self.only().valid)
        a_file(self.disk, "/usr/os/mini/seed")
        self.assertEqual(self.only().diagnosis, "seed is not an executable file")
        for os in ("missing", "", "../os/mini"):
            self.assertFalse(self.definitions.has_seed(os))

    def test_an_api_that_we_do_not_speak_is_told_apart(self) -> None:
        names_none = "ganeti_api_version has none of the supported versions 10, 15, 20"
        self.assertEqual(self.diagnosis({"ganeti_api_version": "5\n99\n"}), names_none)
        self.assertIn("not a number", self.diagnosis({"ganeti_api_version": "new\n"}))

    def test_older_definitions_need_less(self) -> None:
        put(self.disk, "/srv/os/old", without="verify", ganeti_api_version="15\n5\n")
        definition = self.definitions.find_definition("old")
        self.assertEqual((definition.api_versions, definition.parameters), ((5, 15), ()))

    def test_a_definition_with_an_untrusted_create_only_is_not_trusted(self) -> None:
        put(self.disk, "/srv/os/mini", without="create")
        a_file(self.disk, "/srv/os/mini/create_untrusted", mode=0o755)
        self.assertEqual((self.only().valid, self.only().trusted), (True, False))

    def test_one_is_found_by_name_with_or_without_variant(self) -> None:
        put(self.disk, "/usr/os/mini")
        for name in ("mini", "mini+small"):
            self.assertEqual(self.definitions.find_definition(name).path, "/usr/os/mini")

    def test_one_that_is_not_there_or_broken_is_refused(self) -> None:
        put(self.disk, "/srv/os/broken", without="create")
        for name, why in {
            "maxi": "OS definition maxi not found in /srv/os, /usr/os",
            "../mini": "is not a valid name of an OS definition",
            "broken": "OS definition broken: create is missing",
        }.items():
            with self.assertRaisesRegex(Refused, why):
                self.definitions.find_definition(name)
