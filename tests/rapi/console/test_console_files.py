# SPDX-License-Identifier: BSD-2-Clause
"""The console's files are found by their paths, and nothing else is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.paths import CONSOLE
from ganeti.rapi.console.console_files import ConsoleFiles

PACKAGES = {
    "": {},
    "node_modules/preact": {},
    "node_modules/@preact/signals": {},
    "node_modules/typescript": {"dev": True},
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def a_console(folder: Path, *, complete: bool = True) -> ConsoleFiles:
    """A console of some files in ``folder``."""
    write(folder / "index.html", '<script type="importmap">{}</script>')
    write(folder / "waiting.html", "waiting")
    write(folder / "package-lock.json", json.dumps({"packages": PACKAGES}))
    write(folder / "package.json", "{}")
    write(folder / "src/pages/job.js", "job")
    write(folder / "tests/secret.js", "no")
    for name in ("preact", "@preact/signals", "typescript"):
        write(folder / f"node_modules/{name}/dist/it.mjs", name)
    if complete:
        write(folder / "node_modules/.fetched-lock.json", json.dumps({"packages": PACKAGES}))
    return ConsoleFiles(str(folder))


class ConsoleFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.files = a_console(self.folder)

    def content(self, *segments: str) -> bytes | None:
        file = self.files.find_file(segments)
        return None if file is None else file.content

    def test_sources_and_libraries_are_served(self) -> None:
        self.assertEqual(self.content("src", "pages", "job.js"), b"job")
        self.assertEqual(self.content("lib", "preact", "dist", "it.mjs"), b"preact")
        self.assertEqual(
            self.content("lib", "@preact", "signals", "dist", "it.mjs"), b"@preact/signals"
        )

    def test_nothing_else_is(self) -> None:
        for path in (
            ("lib", "typescript", "dist", "it.mjs"),
            ("node_modules", "preact", "dist", "it.mjs"),
            ("tests", "secret.js"),
            ("package.json",),
            ("src", "..", "package.json"),
            ("src", "pages", ""),
            ("lib",),
            (),
        ):
            self.assertIsNone(self.content(*path), path)

    @given(st.lists(st.text(max_size=8), max_size=5))
    def test_no_path_leads_out_of_the_folder(self, segments: list[str]) -> None:
        files = ConsoleFiles(CONSOLE)
        found = files.find_file(["src", *segments])
        if found is not None:
            inside = os.path.realpath(os.path.join(CONSOLE, "src", *segments))
            self.assertTrue(inside.startswith(f"{os.path.realpath(CONSOLE)}/src/"), segments)

    def test_a_changed_file_is_read_again(self) -> None:
        before = self.files.find_file(["src", "pages", "job.js"])
        write(self.folder / "src/pages/job.js", "another job")
        after = self.files.find_file(["src", "pages", "job.js"])
        assert before is not None and after is not None
        self.assertEqual(after.content, b"another job")
        self.assertNotEqual(before.etag, after.etag)

    def test_until_the_libraries_are_there_a_page_says_so(self) -> None:
        files = a_console(Path(self.mktemp()), complete=False)
        page = files.page()
        assert page is not None
        self.assertEqual((files.complete, page.content), (False, b"waiting"))

    def test_libraries_of_another_lock_file_are_not_complete(self) -> None:
        write(self.folder / "package-lock.json", '{"packages": {}}')
        self.assertFalse(self.files.complete)

    def test_the_hash_of_the_import_map_is_known(self) -> None:
        page = self.files.page()
        assert page is not None
        # printf '{}' | openssl dgst -sha256 -binary | base64
        self.assertEqual(
            page.inline_script, "'sha256-RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o='"
        )


class TreeTests(SynchronousTestCase):
    """What is true of the console in this tree."""

    def test_every_library_of_the_import_map_is_a_dependency(self) -> None:
        text = (Path(CONSOLE) / "index.html").read_text()
        imports = json.loads(text.partition('importmap">')[2].partition("</script>")[0])["imports"]
        packages = json.loads((Path(CONSOLE) / "package-lock.json").read_text())["packages"]
        for address in imports.values():
            path = address.removeprefix("/ui/lib/").split("/")
            name = "/".join(path[: 2 if path[0].startswith("@") else 1])
            self.assertNotIn("dev", packages[f"node_modules/{name}"], name)

    def test_the_lock_file_has_integrity_and_names_no_host(self) -> None:
        packages = json.loads((Path(CONSOLE) / "package-lock.json").read_text())["packages"]
        for path, package in packages.items():
            if path:
                self.assertIn("integrity", package, path)
                self.assertNotIn("resolved", package, path)

    def test_nothing_makes_markup_of_text(self) -> None:
        for path in (Path(CONSOLE) / "src").rglob("*.js"):
            for word in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
                self.assertNotIn(word, path.read_text(), path.name)
            self.assertNotIn("http:", path.read_text().replace("http://www.w3.org", ""), path.name)
