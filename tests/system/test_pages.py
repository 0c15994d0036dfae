# SPDX-License-Identifier: BSD-2-Clause
"""The commands of pages for administrators do what the pages say, on a cluster of real daemons.

A line is a command if it is indented by four spaces and begins with the prompt ``# ``, or with
that of another node, ``node3# ``. Commands run in the order of the page, and each has to succeed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.system.running import RunningCluster, SharedCluster, eventually, run
from tools.quickstart.place import TREE
from tools.remote_api_page import MARKER

EVERYTHING = slice(None)

DOMAIN = ".example.com"
"""The domain of the hosts of the pages."""

_COMMAND = re.compile(r"^    (?:node(\d))?# (.+<< 'END'\n(?:.*\n)+?    END|.+)$", re.MULTILINE)


class Step(NamedTuple):
    """A command of a page, and the number of the node that it is typed on."""

    node: int
    command: str


def _commands(text: str) -> list[Step]:
    found = _COMMAND.findall(text)
    return [Step(int(node or 1), line.replace("\n    ", "\n")) for node, line in found]


def sections(name: str) -> Iterator[tuple[str, list[Step]]]:
    """Yield the titles of the sections of a page, with their commands."""
    page = (TREE / "doc" / name).read_text()
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        yield title, _commands(text)


def perform(running: RunningCluster, step: Step) -> str:
    """Run a command on its node; return why that failed, or an empty text.

    A verification has worked if it was completed, whatever it has found.
    """
    paths = running.cluster.node(step.node).paths
    command = step.command.replace(DOMAIN, f".{running.name}")
    for folder, there in (
        ("/usr/lib/ganeti", str(running.cluster.tools)),
        ("/var/lib/ganeti", paths.data),
        ("/root", f"{running.home}/{running.name}"),
        ("/srv/ganeti", f"{paths.root}/srv/ganeti"),
        ("/etc/ganeti", paths.conf),
        ("/var/log/ganeti", paths.log),
    ):
        # A path that is sent to a node is below its own root there.
        command = re.sub(f"(?<!--path ){folder}", there, command)
    environment = {
        "PATH": f"{running.cluster.tools}:{os.environ['PATH']}",
        "GANETI_ROOTDIR": paths.root,
    }
    done = run(["sh", "-c", command], environment=environment)
    verified = command.startswith("gnt-cluster verify") and "Verifying N+1" in done.stdout
    return "" if verified or done.returncode == 0 else f"{step.command}: {done.stdout}{done.stderr}"


class AdministrationTests(SharedCluster):
    options = ("--nodes", "4")

    def test_every_command_succeeds(self) -> None:
        performed = 0
        for title, steps in sections("administration.md"):
            for step in steps:
                self.assertEqual(perform(self.running, step), "", title)
                performed += 1
        self.assertGreater(performed, 40)


class ExamplePagesTests(SharedCluster):
    """Pages whose commands are examples from the first to the last."""

    options = ("--nodes", "3")

    def follow(self, name: str) -> None:
        """Perform all commands of a page; BACKUP is the first backup in its repository."""
        steps = _commands((TREE / "doc" / name).read_text())
        self.assertGreater(len(steps), 5)
        for node, command in steps:
            if " BACKUP " in command:
                command = command.replace("BACKUP", self.first_backup())
            self.assertEqual(perform(self.running, Step(node, command)), "", name)

    def first_backup(self) -> str:
        listed = ("--no-headers", "--separator", " ", "vault")
        return self.running.tool("backup", "list-backups", *listed).stdout.split()[0]

    def share(self, kind: str) -> None:
        """Give all nodes one folder: their paths differ, as they share a host."""
        there = self.running.home / kind
        # The quick start links to those of the tree, which stay as they are.
        if (TREE / kind).exists():
            shutil.copytree(TREE / kind, there)
        there.mkdir(exist_ok=True)
        for node in self.running.cluster.nodes:
            own = Path(node.paths.root, "srv/ganeti", kind)
            own.unlink(missing_ok=True)
            own.symlink_to(there)
        self.addCleanup(shutil.rmtree, there)

    def add_web1(self, *options: str) -> None:
        """Create the instance that a page takes for granted."""
        add = " ".join(("gnt-instance add -t file -s 16m -o noop -n node1.example.com", *options))
        named = "--no-name-check --no-ip-check web1.example.com"
        self.assertEqual(perform(self.running, Step(1, f"{add} {named}")), "")
        remove = Step(1, "gnt-instance remove -f web1.example.com")
        self.addCleanup(lambda: self.assertEqual(perform(self.running, remove), ""))

    def test_hooks(self) -> None:
        self.add_web1()
        self.follow("hooks.md")

    def test_allocators(self) -> None:
        self.follow("allocators.md")

    def test_exports_and_moves(self) -> None:
        self.add_web1()
        self.follow("moves.md")

    def test_backups(self) -> None:
        # The hypervisor fake cannot read the disks of a guest at one moment.
        self.add_web1("--no-start")
        self.follow("backups.md")

    def test_concepts(self) -> None:
        self.follow("concepts.md")

    def test_os_interface(self) -> None:
        self.share("os")
        self.follow("os-interface.md")

    def test_external_storage(self) -> None:
        self.share("extstorage")
        self.follow("external-storage.md")


class RemoteApiPageTests(SharedCluster):
    """The examples of the page about the remote API, in the order in which they are there."""

    def setUp(self) -> None:
        super().setUp()
        cluster = self.running.cluster
        text = (TREE / "doc" / "remote-api.md").read_text().partition(MARKER)[0]
        for name, there in (
            ("cluster.example.com", cluster.master.address),
            ("ca.pem", cluster.master.paths.authority),
            ("--netrc-file netrc", f"--netrc-file {cluster.curl_file}"),
            ('netrc.netrc("netrc")', f'netrc.netrc("{cluster.curl_file}")'),
            (" -H @token", f" --netrc-file {cluster.curl_file}"),
        ):
            text = text.replace(name, there)
        self.blocks = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", text, re.MULTILINE)

    def test_they_work(self) -> None:
        programs, commands = [], []
        for block in map(textwrap.dedent, self.blocks):
            if block.startswith("$ "):
                # A line with a number is an answer.
                block = re.sub(r"^\d+\n", "", block, flags=re.MULTILINE)
                commands += re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
            else:
                programs.append(block)
        self.assertEqual((len(commands), len(programs)), (4, 1))
        answer = ""
        for command in commands:
            if command.rstrip().endswith("/2/jobs/27"):
                self.assertRegex(answer, r"^\d+$")
                command = command.replace("jobs/27", f"jobs/{answer.strip()}")
            done = run(["sh", "-c", f"{command.rstrip()} -sS --fail-with-body"])
            answer = done.stdout
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        done = run([sys.executable, "-c", programs[0]])
        self.assertEqual((done.stdout, done.stderr), ("True\n", ""))


class DisasterTests(SynchronousTestCase):
    """Each test causes a disaster, and does what the page says."""

    def setUp(self) -> None:
        self.running = RunningCluster("--nodes", "3")
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))
        self.steps = dict(sections("disasters.md"))

    def lose(self, number: int, *kinds: str) -> None:
        """Kill the daemons of a node, as when its power fails."""
        for kind in (*kinds, "noded"):
            self.running.kill(kind, number)

    def follow(self, title: str, steps: slice = EVERYTHING) -> None:
        """Do what a section says."""
        chosen = self.steps[title][steps]
        self.assertNotEqual(chosen, [])
        for step in chosen:
            self.assertEqual(perform(self.running, step), "", title)

    def does(self, node: int, command: str) -> None:
        self.assertEqual(perform(self.running, Step(node, command)), "")

    def fails(self, node: int, command: str, why: str) -> None:
        self.assertIn(why, perform(self.running, Step(node, command)))

    def test_a_lost_node(self) -> None:
        self.does(
            1,
            "gnt-instance add -t sharedfile -s 16m -o noop -n node3.example.com"
            " --no-name-check --no-ip-check web1.example.com",
        )
        self.lose(3)
        # The last two commands are for when it is back.
        self.follow("A node is lost", slice(-2))
        self.does(1, "gnt-instance list -o status web1.example.com | grep running")
        self.running.daemon("noded", 3).start()
        self.follow("A node is lost", slice(-2, None))

    def test_a_lost_master(self) -> None:
        self.lose(1, "masterd", "rapi")
        self.follow("The master is lost")
        self.running.daemon("noded", 1).start()
        knows = Step(1, "test $(gnt-cluster getmaster) = node2.example.com")
        eventually(lambda: perform(self.running, knows) == "")

    def test_a_lost_majority(self) -> None:
        self.lose(2)
        self.lose(3)
        tag = "gnt-cluster add-tags disaster"
        self.fails(1, tag, "gnt-cluster confirm-down")
        self.follow("A majority is lost")
        self.does(1, tag)

    def test_commands_that_look_and_free_space(self) -> None:
        for step in _commands((TREE / "doc" / "disasters.md").read_text().partition("\n## ")[0]):
            self.does(step.node, step.command)
        self.follow("The disk of the master is full")

    def test_certificates_that_are_about_to_expire(self) -> None:
        self.follow("A certificate has expired")
        self.does(1, "gnt-cluster verify")

    def test_all_master_candidates_are_lost(self) -> None:
        for step in dict(sections("administration.md"))["Back up the cluster"]:
            self.does(step.node, step.command)
        self.does(1, "gnt-cluster add-tags after-the-copy")
        self.lose(2)
        self.lose(3)
        self.lose(1, "masterd", "rapi")
        for number in (1, 2, 3):
            shutil.rmtree(self.running.cluster.node(number).paths.data)
        self.follow("All master candidates are lost")
        self.does(1, 'test -z "$(gnt-cluster list-tags)"')
        self.does(1, "gnt-instance list")
