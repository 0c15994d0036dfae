# SPDX-License-Identifier: BSD-2-Clause
"""The metric of the expiry of certificates."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.connections.expiry import certificate_expiry
from ganeti.pki.authority import Authority
from ganeti.pki.validity import read_end_of_validity


class ExpiryTests(SynchronousTestCase):
    def test_certificates_that_cannot_be_read_are_left_out(self) -> None:
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        paths = {name: f"{folder}/{name}" for name in ("node", "damaged", "missing")}
        certificate = Authority.founded("cluster1", time.time()).certificate
        Path(paths["node"]).write_bytes(certificate)
        Path(paths["damaged"]).write_bytes(b"?")
        family = certificate_expiry(paths)
        [sample] = family.samples
        self.assertEqual(sample.labels, ("node",))
        self.assertEqual(sample.value, read_end_of_validity(certificate))
