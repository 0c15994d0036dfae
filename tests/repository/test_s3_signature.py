# SPDX-License-Identifier: BSD-2-Clause
"""Signatures equal those in the documentation of Amazon S3."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.repository.s3_signature import S3Credentials, S3Request, sign_request

WHO = S3Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = {"host": "examplebucket.s3.amazonaws.com"}
MIDNIGHT = 1369353600.0
"""2013-05-24T00:00:00Z."""


def signature(request: S3Request) -> str:
    return sign_request(request, WHO, MIDNIGHT)["authorization"].rpartition("Signature=")[2]


class SignatureTests(SynchronousTestCase):
    def test_an_object_is_read(self) -> None:
        request = S3Request("GET", "/test.txt", {}, {**HOST, "range": "bytes=0-9"})
        expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        self.assertEqual(signature(request), expected)

    def test_an_object_is_written(self) -> None:
        more = {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        }
        body = b"Welcome to Amazon S3."
        request = S3Request("PUT", "/test$file.text", {}, {**HOST, **more}, body)
        expected = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        self.assertEqual(signature(request), expected)

    def test_objects_are_listed(self) -> None:
        request = S3Request("GET", "/", {"max-keys": "2", "prefix": "J"}, HOST)
        expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        self.assertEqual(signature(request), expected)

    def test_a_query_without_a_value_is_signed_with_its_name(self) -> None:
        request = S3Request("GET", "/", {"lifecycle": ""}, HOST)
        expected = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        self.assertEqual(signature(request), expected)

    def test_what_is_sent_is_encoded_as_it_is_signed(self) -> None:
        request = S3Request("GET", "/b/a b", {"prefix": "x/y", "a": "+"}, HOST)
        self.assertEqual(request.target, "/b/a%20b?a=%2B&prefix=x%2Fy")

    def test_a_secret_is_not_printed(self) -> None:
        self.assertNotIn(WHO.secret_key, repr(WHO))
