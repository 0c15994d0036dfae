# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files, write
from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.bootstrap.secret_renewal import main, reload_certificate
from ganeti.errors import Refused
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.pki.enrolment import certificates, fingerprint
from ganeti.system.pidfile import PidFile


class RenewalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        init_cluster(
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

    def replace_authority(self) -> str:
        """Trust a new authority besides, and have its key; answers its certificate."""
        made = main(["authority", "cluster1"], self.paths)
        [new] = certificates(made)
        old = Path(self.paths.authority).read_bytes()
        write({self.paths.authority: (new.encode() + old, 0o644)})
        write({self.paths.authority_key: (made[: made.index(new.encode())], 0o600)})
        return new

    def test_the_secrets_of_the_candidates_are_others_afterwards(self) -> None:
        before = self.secrets()
        main(["secrets"], self.paths)
        for old, new in zip(before, self.secrets(), strict=True):
            self.assertNotEqual(old, new)

    def test_a_certificate_that_somebody_else_has_issued_stays(self) -> None:
        other = Authority.founded("theirs", 0).credentials(["rapi"], 0).pem
        write({self.paths.rapi_certificate: (other, 0o600)})
        main(["secrets"], self.paths)
        self.assertEqual(self.secrets()[1], other)

    def test_the_certificate_of_a_replaced_authority_does_not_stay(self) -> None:
        new = self.replace_authority()
        before = self.secrets()
        main(["rapi"], self.paths)
        domain_secret, rapi = self.secrets()
        self.assertEqual(domain_secret, before[0])
        alone = Authority.loaded(new.encode(), local_files().read(self.paths.authority_key))
        self.assertEqual([alone.has_issued(each) for each in (before[1], rapi)], [False, True])

    def test_the_remote_api_is_told_unless_it_has_another_user(self) -> None:
        told: list[tuple[int, int]] = []

        def refuse(pid: int, number: int) -> None:
            raise PermissionError

        reload_certificate(self.paths, refuse)
        api = PidFile(f"{self.paths.run}/ganeti-rapi.pid", "ganeti-rapi")
        api.acquire()
        self.addCleanup(api.release)
        reload_certificate(self.paths, refuse)
        reload_certificate(self.paths, lambda pid, number: told.append((pid, number)))
        self.assertEqual(told, [(os.getpid(), signal.SIGHUP)])

    def test_where_there_are_no_secrets_it_says_so(self) -> None:
        os.unlink(self.paths.domain_secret)
        with self.assertRaisesRegex(Refused, "run this on the master"):
            main(["secrets"], self.paths)

    def test_the_authority_that_issues_is_the_one_whose_key_is_here(self) -> None:
        [old] = certificates(local_files().read(self.paths.authority))
        self.assertEqual(main(["issuer"], self.paths), fingerprint(old.encode()).encode())
        new = self.replace_authority()
        self.assertEqual(main(["issuer"], self.paths), fingerprint(new.encode()).encode())
        write({self.paths.authority: (old.encode(), 0o644)})
        self.assertEqual(main(["issuer"], self.paths), b"")
        os.unlink(self.paths.authority_key)
        self.assertEqual(main(["issuer"], self.paths), b"")
