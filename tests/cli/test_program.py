# SPDX-License-Identifier: BSD-2-Clause
"""A tool as a program: what it says where there is no master, and what it loads."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.program import connected, read_master_name
from ganeti.cli.session import NOT_IN_CLUSTER, NOT_MASTER, ExitTool
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryClusterInfo
from ganeti.luxi.unreachable import NotPermitted
from ganeti.paths import Paths
from tests.golden.command_table import tools

NOBODY = 65534
TREE = Path(__file__).parent.parent.parent

CALL = "import sys; from ganeti.cli.program import main; main(sys.argv.pop(1))"
LOADED = """
import os, sys
SLOW = {"twisted", "argparse", "dataclasses", "asyncio"}
end = os._exit
def told(code):
    print(*sorted(SLOW & set(sys.modules)))
    sys.stdout.flush()
    end(code)
os._exit = told
"""
"""Makes a program tell in the end what of this it has loaded."""
UNMEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
"""Keeps coverage, which imports dataclasses itself, out of a process."""


class ConnectedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)

    def code(self) -> int:
        error: ExitTool = self.assertRaises(ExitTool, connected, self.paths)
        return error.code

    def test_a_host_outside_of_any_cluster_is_told_so(self) -> None:
        self.assertEqual(self.code(), NOT_IN_CLUSTER)

    def test_a_node_that_is_not_the_master_names_it(self) -> None:
        Path(self.paths.node_certificate).touch()
        Path(f"{self.paths.data}/ssconf_master_node").write_text("elsewhere.example.com\n")
        self.assertEqual(self.code(), NOT_MASTER)

    def test_a_socket_that_a_killed_master_has_left_is_not_one(self) -> None:
        folder = tempfile.mkdtemp()  # short, as it is to hold a socket
        self.addCleanup(shutil.rmtree, folder)
        self.paths = Paths(folder)
        os.makedirs(self.paths.data)
        os.makedirs(self.paths.sockets)
        Path(self.paths.node_certificate).touch()
        Path(f"{self.paths.data}/ssconf_master_node").write_text("elsewhere.example.com\n")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.paths.query_socket)
            left.listen()
            self.assertIsInstance(connected(self.paths), LuxiClient)
        self.assertEqual(self.code(), NOT_MASTER)

    def test_a_user_who_may_not_look_is_told_that(self) -> None:
        folder = tempfile.mkdtemp()  # short, as it is to hold a socket
        self.addCleanup(os.rmdir, folder)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
            self.addCleanup(os.seteuid, user)
        else:
            os.chmod(folder, 0)
        client = connected(Paths(folder))
        error = self.assertRaises(NotPermitted, client.ask, QueryClusterInfo())
        self.assertIn("no permission to connect to", str(error))

    def test_a_folder_that_cannot_be_read_is_no_missing_cluster(self) -> None:
        Path(self.paths.node_certificate).touch()
        os.mkdir(f"{self.paths.data}/ssconf_master_node")
        self.assertEqual(read_master_name(self.paths), "")
        self.assertIsInstance(connected(self.paths), LuxiClient)

    def test_the_name_of_the_master_is_empty_where_nobody_told_it(self) -> None:
        self.assertEqual(read_master_name(self.paths), "")
        Path(f"{self.paths.data}/ssconf_master_node").write_text("node1\n")
        self.assertEqual(read_master_name(self.paths), "node1")

    def test_on_the_master_itself_the_client_says_what_is_wrong(self) -> None:
        Path(self.paths.config_file).touch()
        self.assertIsInstance(connected(self.paths), LuxiClient)


class ProgramTests(SynchronousTestCase):
    def called(
        self, *words: str, code: str = CALL, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        root = os.path.abspath(self.mktemp())
        return subprocess.run(
            [sys.executable, "-P", "-c", code, *words],
            env={
                **os.environ,
                "GANETI_ROOTDIR": root,
                "PYTHONPATH": str(TREE),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_errors_go_to_the_error_stream_with_their_exit_code(self) -> None:
        done = self.called("gnt_instance", "list")
        self.assertEqual((done.returncode, done.stdout), (NOT_IN_CLUSTER, ""))
        self.assertRegex(done.stderr, "^Error: this node is not part of a cluster in .*\n$")

    def test_every_tool_is_a_program(self) -> None:
        for tool in tools():
            module = f"ganeti.cli.{tool.name.replace('-', '_')}.commands"
            code = f"import runpy; runpy.run_module({module!r}, run_name='__main__')"
            done = self.called("--version", code=code)
            self.assertEqual((done.returncode, done.stderr), (0, ""), tool.name)
            self.assertTrue(done.stdout.startswith(f"{tool.name} (ganeti v"), done.stdout)

    def test_closed_outputs_are_none_of_its_troubles(self) -> None:
        closed = "import os; os.closerange(0, 2); os.execv(sys.executable, sys.orig_argv[:3]"
        code = f"import sys; {closed} + [{CALL!r}] + sys.argv[1:])"
        done = self.called("gnt_instance", "list", "--help", code=code)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_locale_without_a_character_gets_an_escape(self) -> None:
        for encoding in ("ascii", "latin-1"):
            done = self.called("gnt_instance", "list", "--help", PYTHONIOENCODING=encoding)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("[INSTANCE\\u2026]", done.stdout)

    def test_words_that_are_no_text_are_refused(self) -> None:
        done = self.called("gnt_instance", "startup", "web\udcff", PYTHONUTF8="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Error: 'web\\udcff' is not in the encoding of this terminal", done.stderr)

    def test_what_takes_long_to_load_is_not_loaded(self) -> None:
        for words in (("gnt_instance", "list", "web1"), ("gnt_instance", "startup", "web1")):
            self.assertEqual(self.called(*words, code=LOADED + CALL, **UNMEASURED).stdout, "\n")

    def test_an_output_that_cannot_be_written_is_told(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-P", "-c", CALL, "gnt_job", "--version"],
                env={**os.environ, "PYTHONPATH": str(TREE)},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^Error: the output cannot be written: No space left.*\n$")
