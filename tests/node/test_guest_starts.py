# SPDX-License-Identifier: BSD-2-Clause
"""A guest that is being started counts as running, so that nobody starts it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.model.guest import Guest, GuestState
from ganeti.node.guest_starts import GuestStarts
from ganeti.node.instances import Instances
from ganeti.node.node_info import NodeInfoAnswers
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import OSScripts
from ganeti.rpc.instances import ListGuests, StartInstanceCall
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.processes import MemoryProcesses

WEB1 = a_guest("web1")
STATE = GuestState(name="web1", memory=128, vcpus=1)


class GuestStartsTests(SynchronousTestCase):
    def test_a_guest_counts_until_each_of_its_starts_has_ended(self) -> None:
        starts, again = GuestStarts(), a_guest("web1")
        with starts.announce_start(WEB1):
            with starts.announce_start(again):
                self.assertEqual(starts.list_starting("fake"), {"web1": STATE})
            self.assertEqual(starts.list_starting("fake"), {"web1": STATE})
            self.assertEqual(starts.list_starting("kvm"), {})
        self.assertEqual(starts.list_starting("fake"), {})


class NodeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.attached: Deferred[Sequence[str]] = Deferred()
        hypervisors = {"fake": MemoryHypervisor()}
        starts, clock, files = GuestStarts(), Clock(), MemoryFiles(MemoryDisk())
        scripts = OSScripts(
            OSDefinitions(files, []),
            MemoryProcesses(clock, {}),
            files,
            "/log",
            clock.seconds,
            cache="/cache",
            work="/work",
        )
        self.instances = Instances(
            hypervisors,
            self.attach,
            scripts,
            clock,
            "node1",
            starts=starts,
        )
        self.facts = NodeInfoAnswers(files, hypervisors, {}, starts)
        self.starting = Deferred.fromCoroutine(self.instances.start(StartInstanceCall(guest=WEB1)))

    async def attach(self, guest: Guest) -> Sequence[str]:
        return await self.attached

    def listed(self) -> tuple[Any, Any]:
        """The guests of the node by both of its answers."""
        running = self.instances.running(ListGuests(hypervisors=("fake",)))
        described = self.facts.describe(DescribeNode(hypervisors=("fake",)))
        return self.successResultOf(running), self.successResultOf(described).guests

    def test_it_is_listed_while_its_disks_are_attached_and_afterwards(self) -> None:
        self.assertEqual(self.listed(), ({"web1": STATE},) * 2)
        self.attached.callback([])
        self.successResultOf(self.starting)
        self.assertEqual(self.listed(), ({"web1": STATE},) * 2)

    def test_it_is_not_listed_any_more_when_its_start_has_failed(self) -> None:
        self.attached.errback(Failed("no such disk"))
        self.failureResultOf(self.starting, Failed)
        self.assertEqual(self.listed(), ({}, {}))
