# SPDX-License-Identifier: BSD-2-Clause
"""The master's host has the address of the cluster, unless its administrator has configured it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.master_address import MasterAddress
from ganeti.node.master_address_script import MasterAddressScript
from ganeti.rpc.master_address import BY_GANETI, HoldMasterAddress, ReleaseMasterAddress
from ganeti.system.arp import build_announcement
from ganeti.system.interfaces import IProcesses, ProcessResult
from ganeti.testing.processes import MemoryStateFiles

WHERE: dict[str, Any] = {"address": "192.0.2.200", "netmask": 24, "device": "br0"}
FOREVER = b"2: br0 inet 192.0.2.200/24 scope global br0 valid_lft forever preferred_lft forever"


class Ip:
    """A host whose addresses are what ``ip`` prints."""

    def __init__(self) -> None:
        self.present = b""
        self.broken = False
        self.ran: list[str] = []

    async def run(self, argv: Sequence[str], *, timeout: float) -> ProcessResult:
        if self.broken:
            return ProcessResult(1, b"", b"Cannot find device br0\n")
        if "show" in argv:
            return ProcessResult(0, self.present, b"")
        self.ran.append(" ".join(argv[2:]))
        self.present = b"" if "delete" in argv else b"valid_lft 4sec"
        return ProcessResult(0, b"", b"")


class MasterAddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ip = Ip()
        self.announced: list[tuple[str, str]] = []
        self.address = self.make_address(self.announce)

    def make_address(self, announce: Callable[[str, str], None]) -> MasterAddress:
        processes = cast(IProcesses, self.ip)
        self.records = MemoryStateFiles()
        script = MasterAddressScript(processes, self.records, Clock(), "/setup")
        return MasterAddress(processes, announce, script, self.records)

    def announce(self, device: str, address: str) -> None:
        self.announced.append((device, address))

    def hold(self) -> bool:
        call = HoldMasterAddress(lifetime=4, **WHERE)
        held: bool = self.successResultOf(self.address.hold_address(call))
        return held

    def release(self) -> None:
        self.successResultOf(self.address.release_address(ReleaseMasterAddress(**WHERE)))

    def test_it_is_announced_once_and_renewed(self) -> None:
        self.assertTrue(self.hold())
        self.assertTrue(self.hold())
        renewal = "replace 192.0.2.200/24 dev br0 valid_lft 4 preferred_lft 4"
        self.assertEqual(self.ip.ran, [renewal, renewal])
        self.assertEqual(self.announced, [("br0", "192.0.2.200")])

    def test_it_is_given_up_once(self) -> None:
        self.hold()
        self.release()
        self.release()
        self.assertEqual(self.ip.ran[1:], ["delete 192.0.2.200/24 dev br0"])

    def test_a_permanent_address_is_the_affair_of_the_administrator(self) -> None:
        self.ip.present = FOREVER
        self.assertFalse(self.hold())
        self.release()
        self.assertEqual((self.ip.ran, self.announced), ([], []))

    def test_the_permanent_address_that_ganeti_has_left_becomes_the_masters(self) -> None:
        where = ReleaseMasterAddress(**WHERE)
        self.records.put(BY_GANETI, msgspec.json.encode(where))
        self.ip.present = FOREVER
        self.assertTrue(self.hold())
        self.assertEqual(
            self.ip.ran, ["replace 192.0.2.200/24 dev br0 valid_lft 4 preferred_lft 4"]
        )
        self.assertEqual((self.records.read_all(), self.announced), ({}, []))

    def test_what_ganeti_would_have_configured_otherwise_is_left_alone(self) -> None:
        for other in ({"device": "br1"}, {"netmask": 32}, {"address": "192.0.2.201"}):
            where = ReleaseMasterAddress(**{**WHERE, **other})
            self.records.put(BY_GANETI, msgspec.json.encode(where))
            self.ip.present = FOREVER
            self.assertFalse(self.hold())
        self.records.put(BY_GANETI, msgspec.json.encode(ReleaseMasterAddress(**WHERE)))
        self.ip.present = FOREVER.replace(b"br0", b"br1")
        self.assertFalse(self.hold())
        self.assertEqual(self.ip.ran, [])

    def test_an_announcement_that_fails_is_no_reason_to_give_up(self) -> None:
        def fail(device: str, address: str) -> None:
            raise OSError(1, "not permitted")

        self.address = self.make_address(fail)
        self.assertTrue(self.hold())

    def test_a_device_that_does_not_exist_is_named(self) -> None:
        self.ip.broken = True
        failure = self.failureResultOf(
            self.address.hold_address(HoldMasterAddress(lifetime=4, **WHERE))
        )
        self.assertIn("Cannot find device br0", str(failure.value))
        self.assertTrue(failure.check(Failed))

    def test_an_announcement_is_a_request_for_the_own_address(self) -> None:
        frame = build_announcement(bytes.fromhex("020000000001"), "192.0.2.200")
        self.assertEqual(frame[:14].hex(), "ffffffffffff0200000000010806")
        self.assertEqual(frame[28:32], frame[38:42])
        self.assertEqual(frame[28:32], bytes((192, 0, 2, 200)))
