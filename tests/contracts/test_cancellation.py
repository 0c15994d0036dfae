# SPDX-License-Identifier: BSD-2-Clause
"""A thread that blocks on descriptors and sockets is woken when its work is canceled."""

from __future__ import annotations

import os
import select
import socket
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.cancellation import Cancelled, CancelSwitch


class CancelSwitchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.switch = CancelSwitch()
        self.read, self.write = os.pipe()
        for each in (self.read, self.write):
            self.addCleanup(os.close, each)

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        return ours, theirs

    def test_a_descriptor_that_is_ready_is_not_waited_for(self) -> None:
        os.write(self.write, b"x")
        self.switch.wait(self.read, select.POLLIN)
        self.switch.check()
        self.switch.close()

    def test_a_wait_has_an_end(self) -> None:
        for seconds in (0, -5.0):
            with self.assertRaises(TimeoutError):
                self.switch.wait(self.read, select.POLLIN, seconds)
        self.switch.sleep(0)
        self.switch.close()

    def test_every_operation_fails_once_the_switch_was_pulled(self) -> None:
        os.write(self.write, b"x")
        self.switch.pull()
        for operation in (
            self.switch.check,
            lambda: self.switch.wait(self.read, select.POLLIN),
            lambda: self.switch.sleep(60),
        ):
            with self.assertRaises(Cancelled):
                operation()
        self.switch.close()

    def test_a_thread_that_waits_is_woken(self) -> None:
        ended: list[BaseException] = []

        def wait() -> None:
            try:
                self.switch.wait(self.read, select.POLLIN)
            except Cancelled as e:
                ended.append(e)

        thread = Thread(target=wait)
        thread.start()
        self.switch.pull()
        thread.join()
        self.assertEqual(len(ended), 1)
        self.switch.close()

    def test_a_socket_that_was_given_is_shut_down(self) -> None:
        ours, theirs = self.sockets()
        self.switch.shut_down_on_cancel(ours)
        self.switch.pull()
        self.assertEqual(theirs.recv(1), b"")
        self.switch.close()

    def test_a_socket_that_comes_after_the_pull_is_shut_down_at_once(self) -> None:
        ours, theirs = self.sockets()
        self.switch.pull()
        self.switch.shut_down_on_cancel(ours)
        self.assertEqual(theirs.recv(1), b"")
        self.switch.close()

    def test_a_socket_that_is_not_connected_is_no_error(self) -> None:
        with socket.socket() as idle:
            self.switch.shut_down_on_cancel(idle)
            self.switch.pull()
        self.switch.close()

    def test_a_socket_that_was_released_stays_open(self) -> None:
        ours, theirs = self.sockets()
        self.switch.shut_down_on_cancel(ours)
        self.switch.release()
        self.switch.pull()
        ours.send(b"x")
        self.assertEqual(theirs.recv(1), b"x")
        self.switch.close()

    def test_one_of_several_sockets_is_watched_no_longer(self) -> None:
        ours, theirs = self.sockets()
        others, far = self.sockets()
        end_watch = self.switch.shut_down_on_cancel(ours)
        self.switch.shut_down_on_cancel(others)
        for _ in range(2):
            end_watch()
        self.switch.pull()
        ours.send(b"x")
        self.assertEqual((theirs.recv(1), far.recv(1)), (b"x", b""))
        self.switch.close()

    def test_a_pull_after_the_close_does_nothing(self) -> None:
        ours, theirs = self.sockets()
        self.switch.shut_down_on_cancel(ours)
        self.switch.close()
        self.switch.pull()
        ours.send(b"x")
        self.assertEqual(theirs.recv(1), b"x")
