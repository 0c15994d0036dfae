# SPDX-License-Identifier: BSD-2-Clause
"""``daemon-util`` starts, stops and checks the daemons of a node without systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

SOURCE = Path(__file__).parents[2] / "daemons" / "daemon-util.in"
DAEMONS = ("ganeti-noded", "ganeti-masterd", "ganeti-rapi")
ETCD = "ganeti-etcd"

_DAEMON = """#!/bin/sh
# Detaches a process that holds its pid file locked, as the daemons do, and records its options.
file="$GANETI_ROOTDIR/var/run/ganeti/${0##*/}.pid"
echo "${0##*/} $*" >> "$GANETI_ROOTDIR/started"
sh -c 'exec 9>>"$0"; flock 9; echo $$ > "$0"; exec sleep 600' "$file" </dev/null >/dev/null 2>&1 &
until [ -s "$file" ]; do sleep 0.01; done
"""


class DaemonUtilTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(os.path.abspath(self.mktemp()))
        self.data = self.root / "var/lib/ganeti"
        for folder in (self.data, self.root / "var/run/ganeti", self.root / "etc/default"):
            folder.mkdir(parents=True)
        for name in ("daemon-util", ETCD, *DAEMONS):
            text = SOURCE.read_text() if name == "daemon-util" else _DAEMON
            text = text.replace("@sbindir@", str(self.root)).replace("@sysconfdir@", "/etc")
            (self.root / name).write_text(text.replace("@localstatedir@", "/var"))
            (self.root / name).chmod(0o755)
        self.addCleanup(self.call, "stop", "all")

    def call(self, *words: str) -> tuple[int, str]:
        """Run ``daemon-util``; return its exit code and output."""
        environment = {**os.environ, "GANETI_ROOTDIR": str(self.root), "GANETI_HOSTNAME": "node1"}
        done = subprocess.run(
            [str(self.root / "daemon-util"), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout

    def make_node(self, *, master: str = "") -> None:
        (self.data / "server.pem").touch()
        if master:
            (self.data / "config.data").touch()
            (self.data / "ssconf_master_node").write_text(f"{master}\n")

    def started(self) -> list[str]:
        return (self.root / "started").read_text().splitlines()

    def test_a_host_without_a_cluster_starts_nothing(self) -> None:
        code, told = self.call("start", "all")
        self.assertEqual(code, 0)
        self.assertIn("not part of a cluster; create one with gnt-cluster init", told)

    def test_all_are_the_daemons_that_belong_on_the_node(self) -> None:
        self.make_node(master="node1")
        self.assertEqual(self.call("start", "all"), (0, ""))
        self.assertEqual(self.started(), [f"{daemon} " for daemon in DAEMONS])
        running = "".join(f"{daemon} is running\n" for daemon in DAEMONS)
        self.assertEqual(self.call("check", "all"), (0, running))

    def test_a_node_that_is_not_the_master_has_one_daemon(self) -> None:
        self.make_node(master="node2")
        (self.data / "ssconf_master_candidates").write_text("node10\nnode2\n")
        for question in ("is-master", "is-candidate"):
            self.assertEqual(self.call(question)[0], 1)
        self.call("start", "all")
        self.assertEqual(self.started(), ["ganeti-noded "])

    def test_a_candidate_serves_the_remote_api_as_well(self) -> None:
        self.make_node(master="node2")
        (self.data / "ssconf_master_candidates").write_text("node1\nnode2\n")
        self.assertEqual(self.call("is-candidate")[0], 0)
        (self.data / "rapi.pem").touch()
        self.call("start", "all")
        self.assertEqual(self.started(), ["ganeti-noded ", "ganeti-rapi "])

    def test_a_member_of_etcd_runs_where_there_is_one_and_gets_no_sighup(self) -> None:
        self.make_node()
        (self.data / "etcd").mkdir()
        (self.data / "etcd" / "member.json").touch()
        self.call("start", "all")
        self.assertEqual(self.started(), ["ganeti-noded ", f"{ETCD} "])
        self.call("reload", ETCD)
        self.assertEqual(self.call("check", ETCD)[0], 0)
        self.assertEqual(self.call("stop", "all"), (0, ""))
        self.assertEqual(self.call("check", ETCD)[0], 1)

    def test_what_runs_is_not_started_twice(self) -> None:
        self.make_node()
        self.call("start", "ganeti-noded")
        self.assertEqual(self.call("start", "ganeti-noded"), (0, ""))
        self.assertEqual(len(self.started()), 1)

    def test_what_was_stopped_is_not_running(self) -> None:
        self.make_node()
        self.call("start", "all")
        self.assertEqual(self.call("stop", "all"), (0, ""))
        self.assertEqual(self.call("check", "all"), (3, "ganeti-noded is not running\n"))
        self.assertEqual(self.call("stop", "ganeti-noded"), (0, ""))

    def test_a_restart_starts_what_did_not_run(self) -> None:
        self.make_node()
        self.assertEqual(self.call("restart", "all"), (0, ""))
        self.assertEqual(self.call("restart", "ganeti-noded"), (0, ""))
        self.assertEqual(len(self.started()), 2)

    def test_options_come_from_the_defaults(self) -> None:
        self.make_node()
        (self.root / "etc/default/ganeti").write_text('NODED_ARGS="-p 1899 --debug"\n')
        self.call("start", "all")
        self.assertEqual(self.started(), ["ganeti-noded -p 1899 --debug"])

    def test_other_words_are_explained(self) -> None:
        for words in ((), ("start",), ("start", "sshd"), ("dance", "all")):
            code, told = self.call(*words)
            self.assertEqual(code, 2)
            self.assertIn(
                "DAEMON is one of: ganeti-noded ganeti-etcd ganeti-masterd ganeti-rapi", told
            )

    if shutil.which("flock") is None:
        skip = "there is no flock"
