# SPDX-License-Identifier: BSD-2-Clause
"""What a store cannot do now is tried again; what it refuses is explained."""

from __future__ import annotations

import ssl

from twisted.trial.unittest import SynchronousTestCase

from ganeti.repository.s3_client import DELAYS, S3Failed, make_connector
from ganeti.repository.s3_signature import S3Credentials
from ganeti.system.cancellation import Cancelled, CancelSwitch
from ganeti.testing.memory_s3 import CREDENTIALS, MemoryS3


class S3ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.s3 = MemoryS3()
        self.client = self.s3.client()

    def failure(self, message: str) -> None:
        with self.assertRaisesRegex(S3Failed, message):
            self.client.ask("PUT", "a", body=b"content")

    def test_a_request_is_repeated_until_it_succeeds(self) -> None:
        self.s3.failures = [ConnectionResetError(), 503, MemoryS3.CUT]
        self.client.ask("PUT", "a", body=b"content")
        self.assertEqual(self.s3.objects, {"a": b"content"})
        self.assertEqual(self.s3.slept, list(DELAYS[:3]))

    def test_a_store_that_fails_for_long_is_reported(self) -> None:
        self.s3.failures = [OSError(111, "Connection refused")] * 9
        self.failure("s3.example.com does not answer: Connection refused; check the endpoint")
        self.assertEqual((self.s3.objects, self.s3.slept), ({}, list(DELAYS)))
        self.s3.failures = [500] * 9
        self.failure("s3.example.com refused a request: InternalError: not now")

    def test_connections_are_used_again_and_closed_at_the_end(self) -> None:
        for key in "abc":
            self.client.ask("PUT", key)
        self.assertEqual(self.s3.open, 1)
        self.client.close()
        self.assertEqual(self.s3.open, 0)

    def test_a_connection_that_the_store_has_closed_is_not_used_again(self) -> None:
        self.s3.hangs_up = True
        for key in "abc":
            self.client.ask("PUT", key)
        self.assertEqual((self.s3.open, self.s3.slept), (0, []))

    def test_a_connection_that_fails_is_not_used_again(self) -> None:
        self.client.ask("PUT", "a")
        self.s3.failures = [ConnectionResetError()]
        self.client.ask("PUT", "b")
        self.assertEqual(self.s3.open, 1)

    def test_a_missing_object_is_told_from_a_missing_bucket(self) -> None:
        for method in ("GET", "HEAD"):
            self.assertRaises(FileNotFoundError, self.client.ask, method, "a")
        self.client = self.s3.client(bucket="other")
        self.failure("has no bucket other; create it there")

    def test_wrong_credentials_are_not_tried_again(self) -> None:
        self.client = self.s3.client(S3Credentials(CREDENTIALS.access_key, "wrong", "us-east-1"))
        self.failure("refuses the access key AKIAEXAMPLE .SignatureDoesNotMatch: ")
        self.assertEqual(self.s3.slept, [])

    def test_another_region_is_explained(self) -> None:
        self.s3.failures = [301]
        self.failure("is in another region .not now.; remove the repository")

    def test_a_certificate_that_is_not_valid_is_not_tried_again(self) -> None:
        error = ssl.SSLCertVerificationError(1, "x")
        error.verify_message = "self-signed certificate"
        self.s3.failures = [error]
        self.failure("has a certificate that is not valid: self-signed certificate; if a private")
        self.assertEqual(self.s3.slept, [])

    def test_nothing_connects_after_a_cancellation(self) -> None:
        switch = CancelSwitch()
        self.addCleanup(switch.close)
        switch.pull()
        self.assertRaises(Cancelled, make_connector("https://127.0.0.1:1", switch))
