# SPDX-License-Identifier: BSD-2-Clause
"""Where Prometheus is, and how it is asked, is checked when the remote API starts."""

from __future__ import annotations

import contextlib
import io
from argparse import ArgumentParser, Namespace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.rapi_services.prometheus import _read_login, add_options, connect
from ganeti.errors import Failed, Refused

HTTPS = "--prometheus=https://prom.example.com:9090/path"


def read(*arguments: str) -> Namespace:
    options = ArgumentParser()
    add_options(options)
    return options.parse_args(arguments)


class OptionTests(SynchronousTestCase):
    def refusal(self, *arguments: str) -> str:
        with contextlib.redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
            read(*arguments)
        return told.getvalue()

    def test_an_address_has_no_password_and_no_query(self) -> None:
        self.assertIn("must begin with https://", self.refusal("--prometheus=prom:9090"))
        self.assertIn("must begin with https://", self.refusal("--prometheus=file:///etc/x"))
        self.assertIn("must be a URL", self.refusal("--prometheus=https://prom:http"))
        for part in ("https://me:secret@prom", "https://prom/?x=1", "https://prom/#x"):
            self.assertIn("--prometheus-login names a file", self.refusal(f"--prometheus={part}"))

    def test_labels_have_a_name_and_a_value(self) -> None:
        chosen = read("--prometheus-label=cluster=a=b", "--prometheus-label", "job=x")
        self.assertEqual(chosen.prometheus_label, [("cluster", "a=b"), ("job", "x")])
        for text in ("cluster", "1=a", 'a"b=c', "a="):
            self.assertIn("must be NAME=VALUE", self.refusal(f"--prometheus-label={text}"))


class ConnectTests(SynchronousTestCase):
    def connect(self, *arguments: str) -> object:
        return connect(Clock(), read(*arguments))

    def test_without_an_address_there_is_none(self) -> None:
        self.assertIsNone(self.connect())
        self.assertIsNotNone(self.connect(HTTPS))

    def test_a_password_is_sent_encrypted_or_on_this_host_only(self) -> None:
        login = "--prometheus-login=/etc/secret"
        refused = self.assertRaises(Refused, self.connect, "--prometheus=http://prom", login)
        self.assertIn("without encryption; use https://", str(refused))
        self.assertIsNotNone(self.connect(HTTPS, login))
        self.assertIsNotNone(self.connect("--prometheus=http://127.0.0.1:9090", login))

    def test_authorities_that_cannot_be_read_are_told(self) -> None:
        failed = self.assertRaises(Failed, self.connect, HTTPS, "--prometheus-ca=/nowhere/ca.pem")
        self.assertIn("/nowhere/ca.pem", str(failed))

    def test_a_login_is_one_line(self) -> None:
        path = self.mktemp()
        for text, expected in (("mon:a:b\n", ("mon", "a:b")), ("mon:", ("mon", ""))):
            with open(path, "w") as file:
                file.write(text)
            self.assertEqual(_read_login(path), expected)
        with open(path, "w") as file:
            file.write("mon\n")
        self.assertIn("USER:PASSWORD", str(self.assertRaises(ValueError, _read_login, path)))
