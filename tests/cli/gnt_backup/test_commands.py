# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup`` lists exports, and makes the requests that its users mean."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_backup.commands import GNT_BACKUP
from ganeti.luxi.methods import Query
from ganeti.opcodes.backup import RemoveExport
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer


class ListTests(SynchronousTestCase):
    def asked(self, *words: str) -> Query:
        fields = {"node": "text", "export": "text"}
        self.terminal = Terminal({Query: answer(fields, ["node2", "web1"])})
        self.assertEqual(self.terminal.run(GNT_BACKUP, "list", *words), 0)
        [query] = self.terminal.asked()
        assert isinstance(query, Query)
        return query

    def test_exports_are_listed_with_their_nodes(self) -> None:
        query = self.asked("--no-headers")
        self.assertEqual((query.what, query.fields), ("export", ("node", "export")))
        self.assertIs(query.qfilter, None)
        self.assertEqual(self.terminal.out, "node2 web1\n")

    def test_those_of_some_nodes_can_be_chosen(self) -> None:
        wanted = ["|", ["==", "node", "node2"], ["==", "node", "node3"]]
        self.assertEqual(self.asked("-n", "node2", "-n", "node3").qfilter, wanted)


class RequestTests(SynchronousTestCase):
    def made(self, *words: str) -> Any:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_BACKUP, *words), 0, terminal.err)
        return replace(terminal.job(), reason=())

    def test_an_import_has_the_disks_and_cards_of_the_export(self) -> None:
        made = self.made("import", "--src-node", "node2", "--src-dir", "/x", "-n", "node1", "web2")
        self.assertEqual((made.mode, made.src_node, made.src_path), ("import", "node2", "/x"))
        self.assertEqual((made.disks, made.nics, made.pnode), ((), (), "node1"))

    def test_an_import_may_have_others(self) -> None:
        made = self.made("import", "-t", "file", "-s", "1g", "--net", "0:ip=pool", "web2")
        self.assertEqual((made.disks, made.nics), (({"size": 1024},), ({"ip": "pool"},)))

    def test_an_export_is_removed(self) -> None:
        self.assertEqual(self.made("remove", "web1"), RemoveExport(instance_name="web1"))
