# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import contextlib
import io
import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.founding import found
from ganeti.bootstrap.renewal import main
from ganeti.bootstrap.writing import local_files, write
from ganeti.paths import Paths
from ganeti.pki.authority import Authority


class RotationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        found(
            self.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
        )

    def secrets(self) -> list[bytes]:
        return [
            local_files().read(path)
            for path in (self.paths.domain_secret, self.paths.rapi_certificate)
        ]

    def test_the_secrets_of_the_candidates_are_others_afterwards(self) -> None:
        before = self.secrets()
        self.assertEqual(main(self.paths), 0)
        for old, new in zip(before, self.secrets(), strict=True):
            self.assertNotEqual(old, new)

    def test_a_certificate_that_somebody_else_has_issued_stays(self) -> None:
        other = Authority.founded("theirs", 0).credentials(["rapi"], 0).pem
        write({self.paths.rapi_certificate: (other, 0o600)})
        self.assertEqual(main(self.paths), 0)
        self.assertEqual(self.secrets()[1], other)

    def test_where_there_are_no_secrets_it_says_so(self) -> None:
        os.unlink(self.paths.domain_secret)
        with contextlib.redirect_stderr(io.StringIO()) as told:
            self.assertEqual(main(self.paths), 1)
        self.assertIn("do this on the master", told.getvalue())
