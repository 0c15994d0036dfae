# SPDX-License-Identifier: BSD-2-Clause
"""Named changes do what their names say to the state as it is, or refuse."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes import ports
from ganeti.config.changes.instances import (
    add_disk,
    add_instance,
    remove_disk,
    remove_instance,
    set_disks_active,
    set_primary_node,
    want,
)
from ganeti.config.changes.macs import generate_mac, parse_mac
from ganeti.config.changes.nodes import add_node, remove_node, set_role
from ganeti.config.changes.objects import together, update
from ganeti.config.changes.tags import MAX_TAGS, add_tags, remove_tags
from ganeti.errors import Invalid, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.model.node import NodeRole
from ganeti.testing.builders import a_cluster, a_disk, a_nic, a_node, an_instance, uuid_of

MIRROR = a_disk("mirror7", Template.DRBD, nodes=("node1", "node2"))
STATE = a_cluster(
    nodes=["node1", "node2", "node3"],
    instances=[an_instance("web1", disks=[a_disk("root"), MIRROR])],
)
WEB = STATE.instance("web1")


class InstanceTests(SynchronousTestCase):
    def test_a_change_keeps_what_others_changed_meanwhile(self) -> None:
        state = together(add_tags(WEB, ["a"]), want(WEB, AdminState.DOWN))(STATE)
        web = state.instance("web1")
        self.assertEqual((web.tags, web.admin_state), (("a",), AdminState.DOWN))

    def test_what_is_gone_cannot_be_changed(self) -> None:
        state = remove_instance(WEB)(STATE)
        with self.assertRaisesRegex(Refused, "instance web1 has been removed"):
            want(WEB, AdminState.UP)(state)

    def test_an_instance_goes_with_its_disks_and_gives_its_ports_back(self) -> None:
        state = remove_instance(WEB)(update(WEB, network_port=11500)(STATE))
        self.assertEqual((len(state.instances), len(state.disks)), (0, 0))
        self.assertEqual(state.cluster.tcpudp_port_pool, (11006, 11500))

    def test_a_new_instance_gets_a_port(self) -> None:
        state = add_instance(an_instance("web2").instance, with_port=True)(STATE)
        self.assertEqual(state.instance("web2").network_port, 11007)
        self.assertEqual(state.cluster.highest_used_port, 11007)

    def test_two_instances_cannot_have_one_name(self) -> None:
        twin = an_instance("web1", uuid="other", nics=())
        with self.assertRaisesRegex(Refused, "instance web1 already exists; choose another name"):
            add_instance(twin.instance)(STATE)

    def test_two_cards_cannot_have_one_address(self) -> None:
        twin = an_instance("web2", nics=(a_nic(mac=WEB.nics[0].mac.upper()),))
        with self.assertRaisesRegex(Refused, "is in use by instance web1"):
            add_instance(twin.instance)(STATE)

    def test_a_node_that_is_gone_gets_no_instance(self) -> None:
        with self.assertRaisesRegex(Refused, "the node of instance web2 has been removed"):
            add_instance(an_instance("web2", node="node9").instance)(STATE)

    def test_an_instance_changes_sides(self) -> None:
        state = set_primary_node(WEB, STATE.node("node2"))(STATE)
        web = state.instance("web1")
        self.assertEqual(web.primary_node, uuid_of("node", "node2"))
        self.assertEqual(state.get_secondaries(web), (uuid_of("node", "node1"),))
        self.assertEqual(state.get_disks(web)[0].nodes, (uuid_of("node", "node2"),))

    def test_what_is_wanted_up_has_its_disks_active_and_what_is_offline_has_not(self) -> None:
        off = want(WEB, AdminState.OFFLINE)(STATE)
        self.assertFalse(off.instance("web1").disks_active)
        on = set_disks_active(WEB, True)(off)
        self.assertTrue(want(WEB, AdminState.DOWN)(on).instance("web1").disks_active)

    def test_disks_are_numbered_in_their_order(self) -> None:
        state = add_disk(WEB, a_disk("first"), 0)(STATE)
        names = [(d.logical_id[-1], d.iv_name) for d in state.get_disks(state.instance("web1"))]
        self.assertEqual([n for _, n in names], ["disk/0", "disk/1", "disk/2"])
        self.assertTrue(names[0][0].endswith("first"))

    def test_a_disk_goes_and_gives_its_port_back(self) -> None:
        state = remove_disk(WEB, MIRROR)(STATE)
        self.assertEqual([d.iv_name for d in state.get_disks(state.instance("web1"))], ["disk/0"])
        self.assertEqual(state.cluster.tcpudp_port_pool, (11006,))


class NodeTests(SynchronousTestCase):
    def test_roles_and_flags_go_together(self) -> None:
        node = STATE.node("node3")
        for role in (NodeRole.OFFLINE, NodeRole.DRAINED, NodeRole.REGULAR, NodeRole.CANDIDATE):
            state = set_role(node, role)(STATE)
            self.assertEqual(state.node("node3").role(state.cluster.master_node), role)

    def test_another_master_takes_over(self) -> None:
        state = set_role(STATE.node("node3"), NodeRole.MASTER, "AA:BB")(STATE)
        self.assertEqual(state.master.name, "node3")
        self.assertEqual(state.cluster.candidate_certs, {uuid_of("node", "node3"): "AA:BB"})

    def test_the_master_neither_goes_nor_rests(self) -> None:
        for change in (remove_node(STATE.master), set_role(STATE.master, NodeRole.OFFLINE)):
            with self.assertRaisesRegex(Refused, "make another node the master first"):
                change(STATE)

    def test_a_node_with_instances_stays(self) -> None:
        with self.assertRaisesRegex(
            Refused, "node2 still has instances: web1; move or remove them"
        ):
            remove_node(STATE.node("node2"))(STATE)

    def test_a_node_that_is_no_candidate_has_no_certificate(self) -> None:
        state = add_node(a_node("node4"), "AA:BB")(STATE)
        self.assertEqual(state.cluster.candidate_certs, {uuid_of("node", "node4"): "AA:BB"})
        state = set_role(a_node("node4"), NodeRole.REGULAR)(state)
        self.assertEqual(state.cluster.candidate_certs, {})

    def test_what_cannot_be_master_is_no_candidate(self) -> None:
        state = update(STATE.node("node3"), master_capable=False)(STATE)
        with self.assertRaisesRegex(Refused, "node3 is not master_capable"):
            set_role(STATE.node("node3"), NodeRole.CANDIDATE)(state)


class TagTests(SynchronousTestCase):
    def test_tags_are_sorted_and_each_there_once(self) -> None:
        state = add_tags(STATE.cluster, ["b", "a"])(add_tags(STATE.cluster, ["b"])(STATE))
        self.assertEqual(state.cluster.tags, ("a", "b"))
        self.assertEqual(remove_tags(state.cluster, ["b"])(state).cluster.tags, ("a",))

    def test_every_text_that_cannot_be_a_tag_is_told(self) -> None:
        with self.assertRaises(Invalid) as caught:
            add_tags(WEB, ["", "fine", "no space", "x" * 129, "line\n"])
        paths = [problem.path for problem in caught.exception.problems]
        self.assertEqual(paths, ["tags[0]", "tags[2]", "tags[3]", "tags[4]"])

    def test_a_tag_that_is_not_there_cannot_be_removed(self) -> None:
        with self.assertRaisesRegex(
            Refused, "instance web1 does not have these tags: b, c; see gnt-instance list-tags"
        ):
            remove_tags(WEB, ["c", "b", "a"])(add_tags(WEB, ["a"])(STATE))

    def test_there_is_a_limit(self) -> None:
        state = add_tags(WEB, [f"t{i}" for i in range(MAX_TAGS)])(STATE)
        with self.assertRaisesRegex(Refused, "can have at most 4096 tags, not 4097"):
            add_tags(WEB, ["more"])(state)


class PortTests(SynchronousTestCase):
    @given(st.lists(st.booleans(), max_size=40))
    def test_no_port_is_given_twice(self, takes: list[bool]) -> None:
        state = STATE
        used: list[int] = []
        for take in takes:
            if take:
                port, state = ports.taken(state)
                self.assertNotIn(port, used)
                used.append(port)
            elif used:
                state = ports.given_back(state, [used.pop(0)])

    def test_when_all_are_in_use_it_says_so(self) -> None:
        state = a_cluster(highest_used_port=ports.LAST)
        with self.assertRaisesRegex(Refused, "all ports from 11000 to 14999 are in use"):
            ports.taken(state)


class MacTests(SynchronousTestCase):
    def test_a_new_address_is_free_and_has_the_prefix(self) -> None:
        first = generate_mac(STATE, Random(1))
        second = generate_mac(STATE, Random(1), besides=[first])
        self.assertNotEqual(first, second)
        self.assertTrue(first.startswith("aa:00:10:"), first)
        self.assertEqual(parse_mac(first.upper()), first)

    def test_what_is_no_address_of_a_card_is_refused(self) -> None:
        for text in ("", "aa:00:00:12:34", "aa:00:00:12:34:5g", "01:00:00:00:00:01"):
            with self.assertRaises(Invalid, msg=text):
                parse_mac(text)
