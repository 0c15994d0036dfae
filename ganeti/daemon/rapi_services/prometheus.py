# SPDX-License-Identifier: BSD-2-Clause
"""The Prometheus that the remote API asks for what was used over a longer time."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from urllib.parse import urlsplit

from ganeti.access.url_security import is_secure
from ganeti.daemon.master_services.notification_senders import read_certificates
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.rapi_services.fetching import fetcher
from ganeti.errors import Code, Failed, Refused
from ganeti.rapi.prometheus_queries import Prometheus, Selector
from ganeti.rapi.usage_history import UsageHistory

_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=(.+)", re.ASCII)


def add_options(options: ArgumentParser) -> None:
    """Declare the options that say where Prometheus is, and how it is asked."""
    options.add_argument(
        "--prometheus",
        type=_parse_address,
        metavar="URL",
        help="a Prometheus that scrapes this cluster, for plots of more than four hours; default:"
        " none",
    )
    options.add_argument(
        "--prometheus-ca",
        metavar="FILE",
        help="the authorities that may issue its certificate; default: those of this host",
    )
    options.add_argument(
        "--prometheus-login",
        metavar="FILE",
        help="a file with the line USER:PASSWORD for it, read before each request; default: none",
    )
    options.add_argument(
        "--prometheus-label",
        action="append",
        type=_parse_label,
        metavar="NAME=VALUE",
        default=[],
        help="a label that the metrics of this cluster have there, if it scrapes several; may be"
        " repeated",
    )


def _parse_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ArgumentTypeError("must be a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii():
        raise ArgumentTypeError("must begin with https:// or http:// and a host name")
    if parts.username is not None or parts.query or parts.fragment:
        raise ArgumentTypeError(
            "must have no user, query or fragment; --prometheus-login names a file with a password"
        )
    return text


def _parse_label(text: str) -> tuple[str, str]:
    found = _LABEL.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("must be NAME=VALUE, with a name of letters, digits and _")
    return found[1], found[2]


def connect(reactor: Reactor, options: Namespace) -> UsageHistory | None:
    """Return what reads the past as the options say; None without a Prometheus.

    :raises Refused: a password would be sent without encryption.
    :raises Failed: the file with the authorities cannot be read.
    """
    address: str | None = options.prometheus
    if address is None:
        return None
    login = options.prometheus_login
    if login is not None and not is_secure(address):
        raise Refused(
            f"the password in {login} would be sent to {address} without encryption; use https://",
            Code.INPUT,
        )
    authorities = None
    if options.prometheus_ca is not None:
        try:
            with open(options.prometheus_ca, encoding="ascii") as file:
                authorities = read_certificates(file.read())
        except (OSError, ValueError) as e:
            why = f"the file of --prometheus-ca cannot be read: {e}"
            raise Failed(why, Code.ENVIRONMENT) from None
    prometheus = Prometheus(
        fetcher(reactor, f"Prometheus at {address}", authorities),
        address,
        None if login is None else partial(_read_login, login),
    )
    return UsageHistory(prometheus, Selector(tuple(options.prometheus_label)), time.time)


def _read_login(path: str) -> tuple[str, str]:
    """Return the user and the password in a file.

    :raises ValueError: there are none.
    """
    with open(path, encoding="utf-8") as file:
        user, colon, password = file.readline().rstrip("\n").partition(":")
    if not colon or not user:
        raise ValueError(f"{path} has no line USER:PASSWORD")
    return user, password
