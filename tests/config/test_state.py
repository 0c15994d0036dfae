# SPDX-License-Identifier: BSD-2-Clause
"""Finding things in a state, and changing it without touching the one before."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import RecordEdit, RecordKind
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)

DISK = a_disk("1", Template.DRBD, nodes=("node1", "node2"))
STATE = a_cluster(
    nodes=["node1", "node2"],
    instances=[an_instance("web1.example.com", disks=[DISK]), "db.a.example", "db.b.example"],
    networks=[a_network("lan")],
)
WEB = STATE.instance("web1.example.com")


class FindingTests(SynchronousTestCase):
    def test_a_name_a_uuid_and_a_name_without_its_domain_find_the_same(self) -> None:
        for name in ("web1.example.com", "web1", "web1.example", WEB.uuid):
            self.assertEqual(STATE.instance(name), WEB)

    def test_a_short_name_that_fits_several_is_refused(self) -> None:
        with self.assertRaisesRegex(
            Refused, "db is ambiguous; give one of db.a.example, db.b.example"
        ):
            STATE.instance("db")

    def test_part_of_a_label_is_no_name(self) -> None:
        for name in ("web", "", ".", "web1."):
            with self.assertRaises(Refused) as caught:
                STATE.instance(name)
            self.assertEqual(caught.exception.code, Code.UNKNOWN, name)

    def test_an_unknown_name_that_is_mistyped_is_refused_with_the_names_it_resembles(self) -> None:
        for wrong, meant in (
            ("wbe1", "did you mean web1.example.com? See gnt-instance list"),
            ("web1x.example.com", "did you mean web1.example.com? See gnt-instance list"),
            ("d", "did you mean db.a.example or db.b.example? See gnt-instance list"),
            ("dbb.a.example", "did you mean db.a.example? See gnt-instance list"),
            ("mail", "mail does not exist; see gnt-instance list"),
            ("wbe1.example.org", "wbe1.example.org does not exist; see gnt-instance list"),
        ):
            with self.assertRaises(Refused) as caught:
                STATE.instance(wrong)
            self.assertIn(meant, str(caught.exception))
        with self.assertRaisesRegex(Refused, "did you mean default. See gnt-group list"):
            STATE.group("Default")

    def test_each_kind_has_its_own_names(self) -> None:
        self.assertEqual(STATE.network("lan").name, "lan")
        self.assertEqual(STATE.group("default").name, "default")
        with self.assertRaisesRegex(Refused, "node lan does not exist"):
            STATE.node("lan")

    def test_instances_are_found_by_their_nodes(self) -> None:
        found = [
            (
                sorted(each.name for each in STATE.list_primary_instances(node)),
                sorted(each.name for each in STATE.list_secondary_instances(node)),
            )
            for node in (STATE.node("node1"), STATE.node("node2"))
        ]
        names = ["db.a.example", "db.b.example", "web1.example.com"]
        self.assertEqual(found, [(names, []), ([], ["web1.example.com"])])

    def test_an_instance_without_disks_is_diskless(self) -> None:
        self.assertEqual(STATE.get_template(STATE.instance("db.a")), Template.DISKLESS)
        self.assertEqual(STATE.get_template(WEB), Template.DRBD)


class ChangingTests(SynchronousTestCase):
    def test_the_state_before_stays_as_it_was(self) -> None:
        after = STATE.put(replace(WEB, name="web2")).remove(STATE.instance("db.a"))
        self.assertEqual(STATE.instance("web1"), WEB)
        self.assertFalse(after.knows(RecordKind.INSTANCE, "web1.example.com"))
        self.assertTrue(after.knows(RecordKind.INSTANCE, "web2"))
        self.assertEqual(len(STATE.instances) - len(after.instances), 1)

    def test_it_remembers_what_was_edited(self) -> None:
        node, gone = a_node("node3"), STATE.instance("db.a")
        after = STATE.put(node).remove(gone)
        self.assertEqual(
            after.edits,
            (
                RecordEdit(RecordKind.NODE, node.uuid, node),
                RecordEdit(RecordKind.INSTANCE, gone.uuid, None, gone),
            ),
        )
        self.assertEqual(after.settled().edits, ())

    def test_a_name_in_use_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "node node1 already exists; choose another name"):
            STATE.put(replace(STATE.node("node2"), name="node1"))

    def test_cards_and_disks_move_with_their_instance(self) -> None:
        card = replace(a_nic("n"), mac="AA:00:10:FF:FF:FF")
        after = STATE.put(replace(WEB, nics=(card,), disks=()))
        self.assertEqual(after.macs.get("aa:00:10:ff:ff:ff"), WEB.uuid)
        self.assertNotIn(WEB.nics[0].mac, after.macs)
        self.assertNotIn(DISK.uuid, after.owners)

    def test_a_disk_can_pass_from_one_instance_to_another(self) -> None:
        heir = replace(STATE.instance("db.a"), disks=(DISK.uuid,))
        for order in ((heir, replace(WEB, disks=())), (replace(WEB, disks=()), heir)):
            after = STATE.put(order[0]).put(order[1])
            self.assertEqual(after.owners[DISK.uuid], heir.uuid)

    def test_a_new_secondary_is_found_at_once(self) -> None:
        nodes = (uuid_of("node", "node1"), uuid_of("node", "node3"))
        after = STATE.put(a_node("node3")).put(replace(DISK, nodes=nodes))
        self.assertEqual(after.get_secondaries(WEB), nodes[1:])
        self.assertEqual(list(after.list_secondary_instances(after.node("node3"))), [WEB])
        self.assertEqual(list(after.list_secondary_instances(after.node("node2"))), [])
