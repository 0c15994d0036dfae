# SPDX-License-Identifier: BSD-2-Clause
"""Commands run and files arrive on real nodes, through their daemons."""

from __future__ import annotations

from pathlib import Path

from tests.system.running import SharedCluster, eventually


class EverywhereTests(SharedCluster):
    """One cluster of three nodes."""

    def root(self, number: int) -> Path:
        return Path(self.running.cluster.node(number).paths.root)

    def test_a_command_runs_on_all_nodes_the_master_last(self) -> None:
        done = self.running.tool("cluster", "command", "echo", "all  is", "well; false")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        line = "-" * 48
        shown = [
            f"{line}\nnode: node{number}.trial\nall is well\nreturn code = 1\n"
            for number in (2, 3, 1)
        ]
        self.assertEqual(done.stdout, "".join(shown))

    def test_nodes_can_be_chosen(self) -> None:
        done = self.running.tool("cluster", "command", "-M", "-n", "node3", "echo", "hello")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("node3.trial: hello\nreturn code = 0", done.stdout)
        self.assertNotIn("node2", done.stdout)
        done = self.running.tool("cluster", "command", "-n", "nosuch", "true")
        self.assertIn("node nosuch is unknown or offline", done.stderr)

    def test_a_file_arrives_on_the_other_nodes(self) -> None:
        file = self.root(1) / "etc" / "motd"
        file.parent.mkdir(exist_ok=True)
        file.write_text("hello\n", encoding="utf-8")
        file.chmod(0o600)
        for number in (2, 3):
            (self.root(number) / "etc").mkdir(exist_ok=True)
        done = self.running.tool("cluster", "copyfile", str(file))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for number in (2, 3):
            copy = self.root(number) / "etc" / "motd"
            self.assertEqual(copy.read_text(encoding="utf-8"), "hello\n")
            self.assertEqual(copy.stat().st_mode & 0o777, 0o600)

    def test_files_that_differ_are_found_and_brought_again(self) -> None:
        # The certificate of the remote API is replaced once more after the start.
        eventually(lambda: self.running.tool("cluster", "verify").returncode == 0)
        paths = self.running.cluster.node(2).paths
        Path(paths.rapi_users).unlink()
        with Path(paths.domain_secret).open("a", encoding="ascii") as file:
            file.write("another\n")
        done = self.running.tool("cluster", "verify", "--error-codes")
        self.assertEqual(done.returncode, 1, done.stdout)
        found = [line for line in done.stdout.splitlines() if "ERROR" in line]
        differ = [line for line in found if "ENODEFILECHECK:node:node2.trial" in line]
        self.assertEqual((len(differ), found), (2, differ))
        done = self.running.tool("cluster", "redist-conf")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.running.tool("cluster", "verify")
        self.assertEqual(done.returncode, 0, done.stdout)
