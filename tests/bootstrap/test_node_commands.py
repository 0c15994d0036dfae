# SPDX-License-Identifier: BSD-2-Clause
"""Commands and files go to node daemons, with the key of the master's node."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from ganeti.bootstrap.node_commands import MAX_FILE_SIZE, copy_file, run_command
from ganeti.errors import Failed, GanetiError, Refused
from ganeti.rpc.node import CommandResult
from ganeti.rpc.quorum import Ballot, VoterState
from tests.bootstrap.host import Host
from tests.bootstrap.node_daemons import NodeDaemons


class NodeCommandTests(Host):
    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.daemons = NodeDaemons(self, self.paths)
        self.got: list[dict[str, Any]] = []
        for name in ("node1", "node2", "node3"):
            self.daemons.serve(name, self.answers(name))
        self.own, *self.others = self.daemons.endpoints.values()

    def answers(self, name: str) -> Any:
        def ran(fields: dict[str, Any]) -> CommandResult:
            if name == "node3":
                raise Refused("commands are forbidden here")
            return CommandResult(code=0, output=f"{fields['command']} on {name}\n")

        return {
            "vote_info": lambda _: Ballot(granted=False, state=VoterState(term=7)),
            "run_command": ran,
            "copy_file": self.got.append,
        }

    def test_each_node_answers_or_says_why_not(self) -> None:
        answers = run_command(self.paths, self.own, self.others, "date")
        self.assertEqual(answers["node2"], CommandResult(code=0, output="date on node2\n"))
        self.assertIsInstance(answers["node3"], Refused)
        self.assertEqual(str(answers["node3"]), "commands are forbidden here")

    def test_this_node_is_asked_last_as_a_command_may_be_its_end(self) -> None:
        answers = run_command(self.paths, self.own, [self.own, *self.others], "poweroff")
        self.assertEqual(set(answers), {"node1", "node2", "node3"})
        self.assertEqual(self.daemons.asked[-1], ("node1", "run_command"))

    def test_a_node_that_is_away_does_not_keep_the_others(self) -> None:
        nowhere = self.own.__class__("node4", "127.0.0.9", self.own.port)
        answers = run_command(self.paths, self.own, [nowhere, self.others[0]], "date")
        self.assertIsInstance(answers["node4"], Failed)
        self.assertNotIsInstance(answers["node2"], GanetiError)

    def test_a_file_is_the_same_everywhere(self) -> None:
        path = f"{self.paths.root}/etc/motd"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(b"hello\n")
        os.chmod(path, 0o640)
        answers = copy_file(self.paths, self.own, self.others[:1], path)
        self.assertEqual(answers, {"node2": None})
        content = base64.b64encode(b"hello\n").decode()
        self.assertEqual(self.got, [{"path": "/etc/motd", "content": content, "mode": 0o640}])

    def test_a_file_that_a_node_would_not_take_is_not_sent(self) -> None:
        large = f"{self.paths.root}/large"
        with open(large, "wb") as file:
            file.truncate(MAX_FILE_SIZE + 1)
        for path, why in ((large, "is larger than 40 MiB"), ("/etc/hostname", "is not below")):
            with self.assertRaisesRegex(Refused, why):
                copy_file(self.paths, self.own, self.others, path)
        self.assertEqual(self.daemons.asked, [])
