# SPDX-License-Identifier: BSD-2-Clause
"""Which changes reach the small facts that every node has as text."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.cluster import update_cluster
from ganeti.config.changes.instances import add_instance, remove_instance, want
from ganeti.config.changes.objects import update
from ganeti.config.changes.tags import add_tags
from ganeti.config.ssconf import InstanceNames, affects_ssconf, sort_names, ssconf
from ganeti.config.writer import Change
from ganeti.errors import Failed
from ganeti.model.instance import AdminState
from ganeti.testing.builders import a_cluster, an_instance

STATE = a_cluster(nodes=["node1", "node2"], instances=["web1"])
WEB, NODE = STATE.instance("web1"), STATE.node("node2")

MATTER: tuple[Change, ...] = (
    add_instance(an_instance("web2").instance),
    remove_instance(WEB),
    update(WEB, name="web3"),
    update(NODE, offline=True, master_candidate=False),
    update(NODE, ndparams={"ssh_port": 23}),
    add_tags(STATE.cluster, ["a"]),
    update_cluster(master_ip="192.0.2.7", hvparams={"kvm": {"vga": "std"}}),
)
DO_NOT: tuple[Change, ...] = (
    add_tags(WEB, ["a"]),
    add_tags(NODE, ["a"]),
    want(WEB, AdminState.DOWN),
    update(NODE, powered=False),
    update_cluster(tcpudp_port_pool=(11500,), max_running_jobs=7),
)


class SsconfTests(SynchronousTestCase):
    def test_changes_that_matter_are_known(self) -> None:
        for change in MATTER:
            state = change(STATE)
            self.assertNotEqual(ssconf(state, release=""), ssconf(STATE, release=""))
            self.assertTrue(affects_ssconf(state.edits), state.edits)

    def test_what_would_be_two_lines_is_not_written(self) -> None:
        for change in (
            update(WEB, name="web1\nweb2"),
            update_cluster(cluster_name="a\nmaster_node"),
            update_cluster(hvparams={"kvm": {"kernel_args": "ro\nvga=std"}}),
            update_cluster(tags=("a\0",)),
        ):
            with self.assertRaisesRegex(Failed, "contains control characters"):
                ssconf(change(STATE), release="")

    def test_names_follow_the_changes_without_being_sorted_again(self) -> None:
        names, state = InstanceNames(), STATE
        self.assertEqual(names.sorted_names(state), ["web1"])
        for change in (
            add_instance(an_instance("web10").instance),
            add_instance(an_instance("web9").instance),
            update(WEB, name="db"),
            remove_instance(an_instance("web9").instance),
        ):
            state = change(state.settled())
            names.config_changed(state, state.edits)
            self.assertEqual(names.sorted_names(state), sort_names(state))
            self.assertEqual(names.text(state), ssconf(state, release="")["instance_list"])
            self.assertIs(names.text(state), names.text(state))

    def test_changes_that_do_not_matter_are_known(self) -> None:
        for change in DO_NOT:
            state = change(STATE)
            self.assertEqual(ssconf(state, release=""), ssconf(STATE, release=""))
            self.assertFalse(affects_ssconf(state.edits), state.edits)
