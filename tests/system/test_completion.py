# SPDX-License-Identifier: BSD-2-Clause
"""The TAB key completes command lines in real shells, with the names of a running cluster."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.cli.completion.shell_words import escape
from tests.system.running import TIMEOUT, SharedCluster, run

SCRIPTS = Path(__file__).parent.parent.parent / "completion"
BASH = ("bash", "--norc", "--noprofile", "-i")
ZSH = ("zsh", "-f", "-i")
ODD = ("$(touch odd)", "`touch odd`", "a b;touch odd", "it's", '"', "*?[^]{,}", "~", "a&|<>#", "\\")
_BELL = "\a"
"""Is sent with each completion that leaves several possibilities."""


class Shell:
    """An interactive shell in a terminal of its own."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.shown = ""

    def type_line(self, text: str, expected: str) -> None:
        """Type text on an empty line until ``expected``, a pattern, is shown; then clear the line.

        :raises AssertionError: it is not shown.
        """
        self.shown = ""
        os.write(self._terminal, text.encode())
        until = time.monotonic() + TIMEOUT
        while not re.search(expected, self.shown):
            readable, _, _ = select.select([self._terminal], [], [], until - time.monotonic())
            if not readable:
                raise AssertionError(f"{text!r} shows {self.shown!r}, not {expected}")
            shown = os.read(self._terminal, 1 << 16).decode(errors="replace")
            self.shown += shown.replace(_BELL, "")
        os.write(self._terminal, b"\x15")


@contextmanager
def a_shell(command: Sequence[str], tools: Path) -> Iterator[Shell]:
    """Run a shell in a folder of its own, with the tools of a cluster in its path."""
    folder = tempfile.mkdtemp(prefix="gnt-")
    terminal, its = os.openpty()
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": folder,
        "TERM": "dumb",
        "PS1": "> ",
        "COLUMNS": "200",
    }
    process = subprocess.Popen(
        command,
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Shell(terminal)
    finally:
        process.kill()
        process.wait(TIMEOUT)
        os.close(terminal)
        shutil.rmtree(folder)


class CompletionTests(SharedCluster):
    """One cluster of one node."""

    options = ("--nodes", "1")

    def complete(self, line: str) -> subprocess.CompletedProcess[str]:
        return self.running.tool("instance", "--complete", "bash", line, "=:")

    def check_shell(self, shell: Shell) -> None:
        """Type what both shells complete alike."""
        shell.type_line("gnt-instance failov\t --ig\tc\t", "failover --ignore-consistency ")
        shell.type_line("gnt-instance info fir\t", "info first.trial ")
        shell.type_line("gnt-instance move --node=nod\t", "--node=node1.trial ")
        shell.type_line("gnt-instance info 'fir\t", "info 'first.trial'")
        shell.type_line("gnt-instance modify -B vc\t8,maxm\t", "-B vcpus=8,maxmem=")
        shell.type_line("gnt-cluster copyfile /etc/passw\t", "/etc/passwd")
        shell.type_line("gnt-cluster add-tags --from=/etc/passw\t", "--from=/etc/passwd")

    def test_bash_completes(self) -> None:
        with a_shell(BASH, self.running.cluster.tools) as shell:
            shell.type_line(f"source {SCRIPTS}/ganeti.bash; echo so''urced\n", "sourced\r")
            self.check_shell(shell)
            shell.type_line("gnt-instance start --p\t\t", "--pri-node-tags +--primary ")

    def test_zsh_completes(self) -> None:
        if shutil.which("zsh") is None:
            raise SkipTest("zsh is not installed")
        load = f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D; echo so''urced\n"
        with a_shell(ZSH, self.running.cluster.tools) as shell:
            shell.type_line(load, "sourced\r")
            self.check_shell(shell)
            shell.type_line("gnt-instance start --p\t\t", "--plan +-- Show the steps")

    def test_a_master_that_does_not_answer_delays_nothing(self) -> None:
        process = self.running.daemon("masterd").process()
        assert process is not None
        process.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            done = self.complete("gnt-instance start ")
            took = time.monotonic() - began
        finally:
            process.send(signal.SIGCONT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--force-multiple ", done.stdout.splitlines())
        # It waits for 0.6 seconds; a busy machine needs some more to start a program.
        self.assertLess(took, TIMEOUT / 4)


class EscapeTests(SynchronousTestCase):
    def test_real_shells_take_odd_names_literally(self) -> None:
        for shell in ("bash", "zsh"):
            if shutil.which(shell) is None:
                continue
            for name in ODD:
                for typed in (
                    escape(name),
                    "'" + escape(name, "'") + "'",
                    '"' + escape(name, '"') + '"',
                ):
                    done = run([shell, "-c", f"printf %s {typed}"])
                    self.assertEqual((done.stdout, done.stderr), (name, ""), (shell, typed))
