# SPDX-License-Identifier: BSD-2-Clause
"""The administrator's script configures the cluster's address, and removes it in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.master_address_script import RESUME_LIFETIME, MasterAddressScript
from ganeti.rpc.master_address import BY_GANETI, BY_SCRIPT, HoldMasterAddress, ReleaseMasterAddress
from ganeti.system.interfaces import MINIMAL_PATH, IProcesses, ProcessResult
from ganeti.testing.processes import MemoryStateFiles

WHERE: dict[str, Any] = {"address": "192.0.2.200", "netmask": 24, "device": "br0"}
LIFETIME = 4


class Host:
    """A host with the script; ``ran`` has its runs, ``codes`` the exit codes of the next ones."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.environment: dict[str, str] = {}
        self.codes: list[int] = []

    async def run(
        self, argv: Sequence[str], *, env: Mapping[str, str], timeout: float
    ) -> ProcessResult:
        self.ran.append(f"{argv[1]} {env['MASTER_IP']}")
        self.environment = dict(env)
        return ProcessResult(self.codes.pop(0) if self.codes else 0, b"no such route\n", b"")


class MasterAddressScriptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = Host()
        self.records = MemoryStateFiles()
        self.clock = Clock()
        self.address = self.daemon()

    def daemon(self) -> MasterAddressScript:
        """Return the part of a node daemon that starts on this host."""
        return MasterAddressScript(
            cast(IProcesses, self.host), self.records, self.clock, "/etc/ganeti/setup"
        )

    def hold(self, **over: Any) -> None:
        call = HoldMasterAddress(lifetime=LIFETIME, by_script=True, **{**WHERE, **over})
        self.assertTrue(self.successResultOf(self.address.configure_address(call)))

    def release(self) -> None:
        call = ReleaseMasterAddress(by_script=True, **WHERE)
        self.successResultOf(self.address.remove_address(call))

    def test_it_runs_once_however_often_the_address_is_renewed(self) -> None:
        for _ in range(3):
            self.hold()
            self.clock.advance(LIFETIME - 1)
        self.assertEqual(self.host.ran, ["start 192.0.2.200"])
        self.assertEqual(
            self.host.environment,
            {
                "PATH": MINIMAL_PATH,
                "CLUSTER_IP_VERSION": "4",
                "MASTER_IP": "192.0.2.200",
                "MASTER_NETDEV": "br0",
                "MASTER_NETMASK": "24",
            },
        )

    def test_an_address_that_is_not_renewed_is_removed(self) -> None:
        self.hold()
        self.clock.advance(LIFETIME)
        self.assertEqual(self.host.ran, ["start 192.0.2.200", "stop 192.0.2.200"])
        self.assertEqual(self.records.read_all(), {})
        self.clock.advance(60)
        self.assertEqual(len(self.host.ran), 2)

    def test_an_address_that_is_given_up_is_removed_once(self) -> None:
        self.hold()
        self.release()
        self.release()
        self.clock.advance(60)
        self.assertEqual(self.host.ran, ["start 192.0.2.200", "stop 192.0.2.200"])

    def test_another_address_replaces_it(self) -> None:
        self.hold()
        self.hold(address="2001:db8::5", netmask=64)
        self.assertEqual(
            self.host.ran, ["start 192.0.2.200", "stop 192.0.2.200", "start 2001:db8::5"]
        )
        self.assertEqual(self.host.environment["CLUSTER_IP_VERSION"], "6")

    def test_a_script_that_fails_is_undone_and_reported_with_its_output(self) -> None:
        self.host.codes = [3]
        call = HoldMasterAddress(lifetime=LIFETIME, by_script=True, **WHERE)
        error = self.failureResultOf(self.address.configure_address(call), Failed).value
        self.assertEqual(str(error), "/etc/ganeti/setup start: exit code 3: no such route")
        self.assertEqual(self.host.ran, ["start 192.0.2.200", "stop 192.0.2.200"])
        self.hold()
        self.assertEqual(self.host.ran[2:], ["start 192.0.2.200"])

    def test_a_failure_to_remove_it_in_time_is_logged(self) -> None:
        self.hold()
        self.host.codes = [1]
        self.clock.advance(LIFETIME)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(list(self.records.read_all()), [BY_SCRIPT])  # for the next daemon
        self.hold()
        self.assertEqual(len(self.host.ran), 3)

    def test_the_next_node_daemon_removes_it_unless_the_master_renews_it(self) -> None:
        self.hold()
        self.clock = Clock()
        self.address = self.daemon()
        self.address.resume_by_record()
        self.hold()
        self.clock.advance(LIFETIME - 1)
        self.assertEqual(self.host.ran, ["start 192.0.2.200"])
        self.clock = Clock()
        self.address = self.daemon()
        self.address.resume_by_record()
        self.clock.advance(RESUME_LIFETIME)
        self.assertEqual(self.host.ran, ["start 192.0.2.200", "stop 192.0.2.200"])

    def test_what_ganeti_has_configured_by_it_is_kept_and_removed_when_given_up(self) -> None:
        left = ReleaseMasterAddress(by_script=True, **WHERE)
        self.records.put(BY_GANETI, msgspec.json.encode(left))
        self.hold()
        self.assertEqual((self.host.ran, list(self.records.read_all())), ([], [BY_SCRIPT]))
        self.release()
        self.hold()
        self.assertEqual(self.host.ran, ["stop 192.0.2.200", "start 192.0.2.200"])

    def test_the_record_of_a_take_over_is_used_once(self) -> None:
        left = msgspec.json.encode(ReleaseMasterAddress(by_script=True, **WHERE))
        for name in (BY_GANETI, BY_SCRIPT):
            self.records.put(name, left)
        self.address.resume_by_record()
        self.assertEqual(list(self.records.read_all()), [BY_SCRIPT])

    def test_a_damaged_record_is_discarded(self) -> None:
        self.records.put(BY_SCRIPT, b"{")
        self.address.resume_by_record()
        self.assertEqual((self.records.read_all(), self.host.ran), ({}, []))
