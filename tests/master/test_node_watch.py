# SPDX-License-Identifier: BSD-2-Clause
"""What nodes say, and said before, becomes what has happened."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.instances import remove_instance, want
from ganeti.errors import Unreachable
from ganeti.master.node_watch import NodeWatch, Observation
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.rpc.disks import DiskStatus
from ganeti.rpc.node import NodeInfo
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.master.test_node_status_cache import FACTS

SILENT = Unreachable("node1", "no route")


def facts(*guests: str, boot_id: str = "boot") -> NodeInfo:
    running = {name: GuestState(name=name, memory=128, vcpus=1) for name in guests}
    return replace(FACTS, guests=running, boot_id=boot_id)


class WatchCase(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("d1", Template.DRBD, nodes=["node1", "node2"])
        self.web1 = an_instance("web1", tags=("a",), admin_state=AdminState.UP, disks=[disk])
        self.state = a_cluster(nodes=[a_node("node1"), a_node("node2")], instances=[self.web1])
        self.busy = False
        self.watch = NodeWatch(lambda: self.state, lambda _: self.busy)

    def told(self, seen: Iterable[Observation]) -> list[str]:
        return [f"{each.action} {each.name}" for each in seen]

    def say(self, node: str, answer: NodeInfo | Unreachable) -> list[str]:
        return self.told(self.watch.answered(self.state.node(node).uuid, answer))

    def classify_vanished(self) -> list[str]:
        return self.told(self.watch.classify_vanished())


class MemoryTests(WatchCase):
    def free(self, memory: int, total: int = 1000) -> list[str]:
        return self.say("node1", replace(facts(), memory_free=memory, memory_total=total))

    def test_a_change_of_a_tenth_of_the_memory_is_told_and_less_is_not(self) -> None:
        self.assertEqual([self.free(500), self.free(450), self.free(401)], [[], [], []])
        self.assertEqual(self.free(400), ["memory node1"])
        self.assertEqual([self.free(450), self.free(500)], [[], ["memory node1"]])

    def test_the_event_has_what_is_free(self) -> None:
        self.free(500)
        answer = replace(facts(), memory_free=100, memory_total=1000)
        [seen] = self.watch.answered(self.state.node("node1").uuid, answer)
        self.assertEqual(dict(seen.details), {"memory_free": 100, "memory_total": 1000})

    def test_a_node_that_answers_again_is_compared_with_what_was_told(self) -> None:
        self.free(500)
        self.say("node1", SILENT)
        self.assertEqual(self.free(100), ["reachable node1", "memory node1"])


class GuestTests(WatchCase):
    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.say("node1", facts("web1")), [])
        self.assertEqual(self.say("node2", facts()), [])

    def test_a_guest_that_was_to_run_and_is_gone_has_crashed(self) -> None:
        self.assertEqual(self.say("node1", facts()), [])
        [seen] = self.watch.classify_vanished()
        self.assertEqual((seen.action, seen.name, seen.tags), ("crashed", "web1", ("a",)))
        self.assertEqual(dict(seen.details), {"node": "node1"})
        self.assertEqual(self.classify_vanished(), [])

    def test_one_that_was_not_to_run_has_stopped(self) -> None:
        self.state = want(self.web1.instance, AdminState.DOWN)(self.state)
        self.say("node1", facts())
        self.assertEqual(self.classify_vanished(), ["stopped web1"])

    def test_one_that_appears_has_started(self) -> None:
        self.assertEqual(self.say("node2", facts("web2")), ["started web2"])

    def test_one_that_a_job_restarts_was_rebooted(self) -> None:
        self.busy = True
        self.say("node1", facts())
        self.assertEqual((self.classify_vanished(), self.watch.undecided), ([], True))
        self.assertEqual(self.say("node1", facts("web1")), ["rebooted web1"])
        self.assertFalse(self.watch.undecided)

    def test_one_that_appears_elsewhere_was_migrated_whoever_says_so_first(self) -> None:
        self.say("node1", facts())
        [seen] = self.watch.answered(self.state.node("node2").uuid, facts("web1"))
        self.assertEqual((seen.action, dict(seen.details)["source"]), ("migrated", "node1"))
        self.assertEqual(self.classify_vanished(), [])
        self.assertEqual(self.say("node1", facts("web1")), ["migrated web1"])
        self.assertEqual((self.say("node2", facts()), self.classify_vanished()), ([], []))

    def test_a_job_that_breaks_off_leaves_a_crashed_guest(self) -> None:
        self.busy = True
        self.say("node1", facts())
        self.classify_vanished()
        self.busy = False
        self.assertEqual(self.classify_vanished(), ["crashed web1"])

    def test_the_removal_of_an_instance_is_told_by_its_commit_only(self) -> None:
        self.state = remove_instance(self.web1.instance)(self.state)
        self.say("node1", facts())
        self.assertEqual((self.classify_vanished(), self.watch.undecided), ([], False))


class NodeTests(WatchCase):
    def test_a_node_that_does_not_answer_is_told_once(self) -> None:
        self.say("node1", facts("web1"))
        self.assertEqual(self.say("node1", SILENT), ["unreachable node1"])
        self.assertEqual(self.say("node1", SILENT), [])
        self.assertEqual(self.say("node1", facts("web1")), ["reachable node1"])

    def test_a_node_that_lost_power_has_rebooted_without_its_guests(self) -> None:
        self.say("node1", facts("web1"))
        self.say("node1", SILENT)
        said = self.say("node1", facts(boot_id="other"))
        self.assertEqual(said, ["reachable node1", "rebooted node1"])
        self.assertEqual(self.classify_vanished(), ["crashed web1"])

    def test_a_node_that_never_answered_brings_no_guests(self) -> None:
        self.assertEqual(self.say("node1", SILENT), ["unreachable node1"])
        self.assertEqual(self.say("node1", facts("web1")), ["reachable node1"])

    def test_a_node_that_is_not_asked_any_more_begins_anew(self) -> None:
        self.say("node1", facts("web1"))
        self.watch.drop_answer(self.state.node("node1").uuid)
        self.assertEqual((self.say("node1", facts()), self.classify_vanished()), ([], []))


class DiskTests(WatchCase):
    def disks(self, degraded: bool | None) -> list[str]:
        [uuid] = self.web1.instance.disks
        if degraded is None:  # its node does not answer
            return self.told(self.watch.disks({}))
        status = DiskStatus(path="/dev/drbd0", degraded=degraded)
        return self.told(self.watch.disks({uuid: status}))

    def test_a_disk_that_lost_its_other_copy_is_told_until_it_has_one_again(self) -> None:
        self.assertEqual(self.disks(False), [])
        self.assertEqual(self.disks(True), ["degraded web1"])
        self.assertEqual(self.watch.degraded, 1)
        self.assertEqual(self.disks(True), [])
        self.assertEqual(self.disks(None), [])
        self.assertEqual(self.disks(False), ["recovered web1"])
        self.assertEqual(self.watch.degraded, 0)

    def test_one_that_is_degraded_from_the_beginning_is_told(self) -> None:
        self.assertEqual(self.disks(True), ["degraded web1"])
