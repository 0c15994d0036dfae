# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.changes.authorities import forget_certificates, record_secrets_replaced, trust
from ganeti.config.changes.nodes import add_node, remove_node, set_certificates, set_role
from ganeti.config.changes.objects import add, remove, together
from ganeti.config.invariants import verify
from ganeti.config.writer import Change
from ganeti.errors import Invalid
from ganeti.model.access import Authorities, NodeCertificates, SpentToken
from ganeti.model.node import NodeRole
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node

NODE = a_node("node4", master_candidate=False)
TOKEN = SpentToken(
    uuid="0123", node="node4", until=9, application="ab", certificate="PEM", fingerprint="aa"
)
STATE = add_node(NODE, "aa")(a_cluster())
OLD = Authorities(uuid=STATE.cluster.uuid, certificates=("old",))


class AccessFileTests(SynchronousTestCase):
    def test_what_was_written_is_read_again(self) -> None:
        bare = remove(STATE.certificates[NODE.uuid])(STATE).settled()
        state = add(OLD)(add(TOKEN)(STATE)).settled()
        self.assertEqual(access_file.restore(bare, access_file.text(state)), state)

    def test_without_the_file_there_is_nothing_of_it(self) -> None:
        bare = a_cluster()
        self.assertEqual(access_file.restore(bare, None), bare)

    def test_equal_states_make_equal_bytes_and_other_objects_make_no_difference(self) -> None:
        state = add_node(a_node("node5"))(STATE)
        self.assertEqual(access_file.text(state), access_file.text(STATE))
        self.assertFalse(access_file.differs(state, STATE))
        self.assertTrue(access_file.differs(add(TOKEN)(state), STATE))

    def test_a_damaged_file_is_refused(self) -> None:
        deep = b'{"version":1,"x":' + b"[" * 100_000
        named = b'{"version":1,"certificates":{"x":{"uuid":7}}}'
        section = b'{"version":1,"certificates":[7]}'
        for content in (b"{", b'{"version": 9}', named, deep, section):
            self.assertRaises(Invalid, access_file.restore, STATE, content)

    def test_a_file_of_a_later_release_is_refused_as_the_next_one_would_lose_what_it_has(
        self,
    ) -> None:
        text = access_file.text(STATE)
        for before, after in ((b'"version":1', b'"version":2'), (b'"users"', b'"wishes"')):
            self.assertIn(before, text)
            with self.assertRaisesRegex(Invalid, "later release has written it; run that release"):
                access_file.restore(STATE, text.replace(before, after))


class CertificateTests(SynchronousTestCase):
    def test_every_node_has_its_certificates_and_candidates_are_listed_for_scripts(self) -> None:
        self.assertEqual(STATE.certificates[NODE.uuid].fingerprints, ("aa",))
        self.assertNotIn(NODE.uuid, STATE.cluster.candidate_certs)
        state = set_role(NODE, NodeRole.CANDIDATE)(STATE)
        self.assertEqual(state.cluster.candidate_certs[NODE.uuid], "aa")
        state = set_role(NODE, NodeRole.REGULAR)(state)
        self.assertNotIn(NODE.uuid, state.cluster.candidate_certs)
        self.assertEqual(state.certificates[NODE.uuid].fingerprints, ("aa",))

    def test_a_node_that_changes_its_certificate_may_show_both(self) -> None:
        state = set_certificates(NODE, "aa", "bb")(set_role(NODE, NodeRole.CANDIDATE)(STATE))
        self.assertEqual(state.certificates[NODE.uuid].fingerprints, ("aa", "bb"))
        self.assertEqual(state.cluster.candidate_certs[NODE.uuid], "bb")

    def test_the_certificates_go_with_the_node(self) -> None:
        state = remove_node(NODE)(STATE)
        self.assertEqual(dict(state.certificates), {})
        self.assertEqual(list(verify(state)), list(verify(a_cluster())))

    def test_certificates_of_no_node_and_of_two_nodes_are_found(self) -> None:
        state = add(NodeCertificates(uuid="gone", fingerprints=("aa",)))(STATE)
        found = "; ".join(verify(state))
        self.assertIn("unknown node gone has certificates", found)
        self.assertRegex(found, "certificate aa")


class AuthorityTests(SynchronousTestCase):
    """A cluster with one authority, and the candidate node4 besides the master."""

    def setUp(self) -> None:
        self.state = set_role(NODE, NodeRole.CANDIDATE)(add(OLD)(STATE))

    def known(self, *changes: Change) -> Authorities | None:
        return together(*changes)(self.state).authorities

    def test_a_candidate_that_is_none_any_more_may_know_all_secrets(self) -> None:
        exposed = replace(OLD, key_exposed=True, secrets_exposed=True)
        for change in (
            set_role(NODE, NodeRole.REGULAR),
            set_role(NODE, NodeRole.DRAINED),
            remove_node(NODE),
            together(set_role(NODE, NodeRole.OFFLINE), remove_node(NODE)),
            together(set_role(NODE, NodeRole.OFFLINE), set_role(NODE, NodeRole.REGULAR)),
            together(set_role(NODE, NodeRole.OFFLINE), set_role(NODE, NodeRole.DRAINED)),
        ):
            self.assertEqual(self.known(change), exposed)

    def test_other_nodes_and_one_that_is_offline_for_a_while_expose_nothing(self) -> None:
        plain = a_node("node5", master_candidate=False)
        for change in (
            set_role(NODE, NodeRole.CANDIDATE),
            together(set_role(NODE, NodeRole.OFFLINE), set_role(NODE, NodeRole.CANDIDATE)),
            add_node(plain, "bb"),
            together(
                add_node(plain, "bb"),
                set_role(plain, NodeRole.OFFLINE),
                set_role(plain, NodeRole.REGULAR),
            ),
        ):
            self.assertEqual(self.known(change), OLD)

    def test_a_candidate_that_is_offline_keeps_what_it_knows(self) -> None:
        away = self.known(set_role(NODE, NodeRole.OFFLINE))
        self.assertEqual(away, replace(OLD, offline_candidates=(NODE.uuid,)))
        renewed = self.known(set_role(NODE, NodeRole.OFFLINE), trust("new"))
        self.assertEqual(renewed and renewed.offline_candidates, (NODE.uuid,))

    def test_a_new_authority_is_trusted_beside_the_old_one_until_that_is_needed_no_more(
        self,
    ) -> None:
        exposed = set_role(NODE, NodeRole.REGULAR)
        both = self.known(exposed, record_secrets_replaced, trust("new", "old"))
        self.assertEqual(both, replace(OLD, certificates=("new", "old")))
        self.assertTrue(both and both.must_be_replaced)
        one = self.known(exposed, record_secrets_replaced, trust("new", "old"), trust("new"))
        self.assertEqual(one, replace(OLD, certificates=("new",)))
        self.assertFalse(one and one.must_be_replaced)

    def test_what_is_exposed_while_the_authority_is_replaced_stays_so(self) -> None:
        again = self.known(trust("new", "old"), set_role(NODE, NodeRole.REGULAR))
        self.assertTrue(again and again.key_exposed and again.secrets_exposed)
        third = self.known(set_role(NODE, NodeRole.REGULAR), trust("third", "new", "old"))
        self.assertTrue(third and third.secrets_exposed and not third.key_exposed)

    def test_certificates_of_nodes_that_must_join_again_are_forgotten(self) -> None:
        self.assertEqual(dict(forget_certificates(())(self.state).certificates), {})
        state = forget_certificates((NODE.uuid,))(self.state)
        self.assertEqual(list(state.certificates), [NODE.uuid])
