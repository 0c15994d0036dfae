# SPDX-License-Identifier: BSD-2-Clause
"""A receiver listens on the first port that is free."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.migration_ports import bracket, listen_on_free_port, split_address
from ganeti.hypervisor.kvm.monitor import CommandFailed
from ganeti.model.parameters.kvm import Kvm


class PortTests(SynchronousTestCase):
    def listen(self, free: int, message: str = "Address already in use") -> Deferred[str]:
        """Listen where the ports before ``free`` are not."""

        async def listen(port: int) -> None:
            if port < free:
                raise CommandFailed(message)

        found = listen_on_free_port(listen, Kvm(migration_port=8102), "2001:db8::1")
        return Deferred.fromCoroutine(found)

    def test_the_first_free_one_is_taken(self) -> None:
        self.assertEqual(self.successResultOf(self.listen(8104)), "[2001:db8::1]:8104")

    def test_without_a_free_one_it_fails(self) -> None:
        failure = self.failureResultOf(self.listen(9000), Failed)
        self.assertIn("no free port from 8102 to 8133", str(failure.value))

    def test_another_failure_is_reported(self) -> None:
        self.failureResultOf(self.listen(8103, "no such address"), CommandFailed)

    def test_addresses_are_put_together_and_split(self) -> None:
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(split_address(f"{bracket(address)}:81"), (address, "81"))
