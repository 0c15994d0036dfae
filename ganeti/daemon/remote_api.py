# SPDX-License-Identifier: BSD-2-Clause
"""The remote API daemon, put together from its parts on the real operating system."""

from __future__ import annotations

import ssl
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.protocol import ServerFactory
from twisted.internet.threads import deferToThreadPool

from ganeti.daemon import open_files
from ganeti.daemon.listening import keep_unsent, listen
from ganeti.daemon.options import address_of
from ganeti.daemon.service import Running
from ganeti.daemon.workers import Workers, accept_as_worker
from ganeti.errors import Code, Failed, NotMaster
from ganeti.luxi.async_client import MOST_WAITING, MasterClient
from ganeti.paths import Paths, name_of_this_node
from ganeti.rapi.access import Doorkeeper, UsersFile
from ganeti.rapi.api import Api
from ganeti.rapi.connection import Site
from ganeti.rapi.costly_queries import QueryLimit
from ganeti.rapi.routes.table import ROUTES
from ganeti.system.tls import MOST_SHAKING, TlsFactory

UNSENT = 128 * 1024
"""How many bytes of an answer the kernel keeps for a client ahead of what it can receive."""

OTHER_FILES = 100
"""How many files and connections the daemon has open besides those of its clients."""


async def start(reactor: Any, options: Namespace, paths: Paths) -> Running:
    """Listen for clients."""
    name = name_of_this_node()
    _require_master(paths, name)
    context = None if options.no_ssl else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if context is not None:
        _prepare(context)
        _load(context, options, paths)
    shares = _shares(options.max_clients)
    master = MasterClient(reactor, reactor, paths.master_socket, most_waiting=shares.waiting)
    users = UsersFile(paths.rapi_users, reactor.seconds)
    users.look()
    door = Doorkeeper(
        users,
        _in_thread(reactor),
        reactor.seconds,
        login_always=options.require_authentication,
    )
    site = Site(
        Api(ROUTES, QueryLimit(master), door, time.time).answer,
        reactor,
        time.time,
        most_connections=shares.clients,
    )
    factory: ServerFactory = site
    if context is not None:
        factory = TlsFactory(context, site, reactor, most_shaking=shares.shaking)
    workers = None
    if options.worker is not None:
        port = accept_as_worker(reactor, factory)
    else:
        address = options.bind or address_of(name, paths)
        port = listen(reactor, address, options.port, factory)
        keep_unsent(port, UNSENT)
        further = options.workers - 1
        workers = Workers(reactor, "ganeti.daemon.rapi", options.arguments, port.fileno(), further)

    async def stop() -> None:
        # Before the socket is closed, which for all who share it closes it.
        if workers is not None:
            await workers.stop()
        if (closing := port.stopListening()) is not None:
            await closing
        site.hang_up()
        master.close()

    def reload() -> None:
        if context is not None:
            _load(context, options, paths)

    return Running(stop, reload)


def _require_master(paths: Paths, name: str) -> None:
    """Refuse to run on a node that the cluster does not call its master."""
    try:
        with open(f"{paths.data}/ssconf_master_node", encoding="utf-8") as file:
            known = file.read().strip()
    except FileNotFoundError:
        return
    if known != name:
        raise NotMaster(
            f"{known} is the master, and this is {name}; the remote API runs on the master only"
        )


def _prepare(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # A client needs one to come back with, and each costs a message.
    context.num_tickets = 1


def _load(context: ssl.SSLContext, options: Namespace, paths: Paths) -> None:
    """Let connections that are made from now on use the files as they are now."""
    certificate = options.ssl_cert or options.ssl_key or paths.rapi_certificate
    key = options.ssl_key or certificate
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except FileNotFoundError:
        raise Failed(
            f"there is no certificate in {certificate} with a key in {key}; gnt-cluster"
            " renew-crypto makes them, and --no-ssl serves without",
            Code.ENVIRONMENT,
        ) from None
    except (OSError, ssl.SSLError) as e:
        why = getattr(e, "reason", None) or e
        raise Failed(
            f"{certificate} cannot be used with the key in {key}: {why}", Code.ENVIRONMENT
        ) from None


def _no_password() -> str:
    """Answers OpenSSL, which otherwise asks on a terminal that a daemon does not have."""
    return ""


@dataclass(frozen=True)
class _Shares:
    """How the files that may be open are shared out."""

    clients: int
    waiting: int
    """Clients that wait for jobs, each of which takes a connection to the master, too."""
    shaking: int
    """Strangers in the middle of the handshake."""


def _shares(wanted: int) -> _Shares:
    """As much as wanted for everybody, or less if the host does not allow so many files."""
    files = open_files.allow(wanted + MOST_WAITING + MOST_SHAKING + OTHER_FILES)
    room = files - OTHER_FILES
    waiting = max(1, min(MOST_WAITING, room // 4))
    shaking = max(1, min(MOST_SHAKING, room // 4))
    return _Shares(max(1, min(wanted, room - waiting - shaking)), waiting, shaking)


def _in_thread(reactor: Any) -> Callable[[Callable[[], bool]], Awaitable[bool]]:
    def in_thread(check: Callable[[], bool]) -> Awaitable[bool]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), check)

    return in_thread
