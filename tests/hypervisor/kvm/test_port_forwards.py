# SPDX-License-Identifier: BSD-2-Clause
"""Which ports of a node lead to a guest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.port_forwards import has_forwards, parse_forwards
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.builders import a_guest

PRINTED = (
    "Hub -1 (net-0123456789ab):\r\n"
    "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
    "  TCP[HOST_FORWARD]   9       127.0.0.1 39029       10.0.2.15  8080     0     0\r\n"
    "  TCP[HOST_FORWARD]   8       127.0.0.1 39243       10.0.2.15    22     0     0\r\n"
    "  TCP[ESTABLISHED]   10       10.0.2.15 50112    192.0.2.80    80     0     0\r\n"
)
"""What QEMU 7.2 prints."""


class ForwardTests(SynchronousTestCase):
    def test_they_are_in_the_order_of_the_ports_of_the_guest(self) -> None:
        expected = ("127.0.0.1:39243 to port 22", "127.0.0.1:39029 to port 8080")
        self.assertEqual(parse_forwards(PRINTED), expected)

    def test_other_connections_are_none(self) -> None:
        self.assertEqual(parse_forwards(""), ())

    def test_a_guest_has_some_with_a_card_and_user_networking(self) -> None:
        card = GuestNic(uuid="u", mac="aa:00:10:00:00:01", mode="bridged", link="br0")
        guest, user = a_guest(nics=(card,)), Kvm(kvm_net="user", kvm_forward_ports="22")
        self.assertTrue(has_forwards(guest, user))
        self.assertFalse(has_forwards(a_guest(nics=()), user))
        self.assertFalse(has_forwards(guest, Kvm(kvm_net="user")))
