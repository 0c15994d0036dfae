# SPDX-License-Identifier: BSD-2-Clause
"""Requests to webhooks have the form and the signature of Standard Webhooks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.master.notifications.webhook import build_request, sign
from ganeti.model.notifications import Notification, decode_secret

NOTIFICATION = Notification(
    uuid="chat", url="https://hooks.example/x", created=1, secret="whsec_" + "QUJD" * 10
)


class SignatureTests(SynchronousTestCase):
    def test_the_example_of_the_specification_is_reproduced(self) -> None:
        # https://github.com/standard-webhooks: the published test vector.
        signature = sign(
            decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
        )
        self.assertEqual(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")

    def test_id_time_and_body_are_signed(self) -> None:
        given = {
            sign(b"key", "1.1", 10, b"body"),
            sign(b"yek", "1.1", 10, b"body"),
            sign(b"key", "1.2", 10, b"body"),
            sign(b"key", "1.1", 11, b"body"),
            sign(b"key", "1.1", 10, b"Body"),
        }
        self.assertEqual(len(given), 5)


class RequestTests(SynchronousTestCase):
    def test_headers_name_the_event_and_the_cluster(self) -> None:
        request = build_request(NOTIFICATION, "5.1", b"{}", now=100.7, cluster="alpha")
        self.assertEqual(request.url, NOTIFICATION.url)
        self.assertEqual(request.headers["webhook-id"], "5.1")
        self.assertEqual(request.headers["webhook-timestamp"], "100")
        self.assertEqual(request.headers["X-Ganeti-Cluster"], "alpha")
        expected = sign(decode_secret(NOTIFICATION.secret), "5.1", 100, b"{}")
        self.assertEqual(request.headers["webhook-signature"], expected)
