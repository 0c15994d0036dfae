# SPDX-License-Identifier: BSD-2-Clause
"""The connection of this node to the state store, with the certificates in its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from weakref import WeakSet

from OpenSSL.crypto import Error as PemError
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from ganeti.daemon.process.reactor import Reactor
from ganeti.errors import Code, Failed
from ganeti.journal.etcd.gateway import RENEWAL_TIMEOUT, REQUEST_TIMEOUT, EtcdGateway
from ganeti.journal.etcd.leadership import Holder
from ganeti.journal.etcd.store_settings import StateStore, read_settings
from ganeti.journal.etcd.vacancy import Vacancy, VacancyFinder
from ganeti.paths import Paths
from ganeti.pki.enrolment import certificates
from ganeti.system.connection_errors import explain
from ganeti.system.interfaces import IFiles, Stat

T = TypeVar("T")


@implementer(IPolicyForHTTPS)
class StorePolicy:
    """The TLS settings of connections to etcd: its authorities, and the client's certificate.

    Files that have changed are used by later connections: a master must accept a new authority of
    the members before they have its certificates.
    """

    _log = Logger()

    def __init__(self, authority: str, certificate: str) -> None:
        """Load the files.

        :raises Failed: one of them is missing or unusable; the message names it.
        """
        self._paths = authority, certificate
        self._loaded = _identify(self._paths)
        self._load_files()

    def _load_files(self) -> None:
        authority, certificate = self._paths
        client = _load(certificate, PrivateCertificate.loadPEM)
        self._trusted = trustRootFromCertificates(_load(authority, _load_authorities))
        self._client = client

    def _follow_files(self) -> None:
        found = _identify(self._paths)
        if found == self._loaded:
            return
        # Once for each version, so that a damaged one is not complained of in a loop.
        self._loaded = found
        try:
            self._load_files()
        except Failed as e:
            self._log.error("the earlier certificates stay in use: {why}", why=str(e))

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return the creator of connections to the member at this host name or address."""
        self._follow_files()
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
            hostname.decode("ascii").strip("[]"), self._trusted, self._client
        )
        return creator


def connect_to_store(
    reactor: Reactor,
    endpoints: Sequence[str],
    authority: str,
    certificate: str,
    *,
    timeout: float = REQUEST_TIMEOUT,
) -> EtcdGateway:
    """Return a client of etcd at ``endpoints``; ``timeout`` is for an answer, in seconds.

    :raises Failed: a certificate is missing or unusable.
    """
    policy = StorePolicy(authority, certificate)
    pool = HTTPConnectionPool(reactor)
    # ``EtcdGateway`` decides by itself what can be repeated.
    pool.retryAutomatically = False
    pool.maxPersistentPerHost = 4
    agent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, policy), pool)
    close = pool.closeCachedConnections
    return EtcdGateway(agent, endpoints, reactor, explain=explain, close=close, timeout=timeout)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Connects to addresses as such, so that they need no thread of the resolver."""

    def __init__(self, reactor: Reactor, policy: IPolicyForHTTPS) -> None:
        self._reactor = reactor
        self._policy = policy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        # URLs have brackets around addresses of IPv6.
        host = uri.host.strip(b"[]").decode("ascii")
        numeric = isIPAddress(host) or isIPv6Address(host)
        make = TCP4ClientEndpoint if numeric else HostnameEndpoint  # the former knows IPv6, too
        endpoint = make(self._reactor, host, uri.port, timeout=RENEWAL_TIMEOUT)
        creator = self._policy.creatorForNetloc(uri.host, uri.port)
        return _QuietEndpoint(wrapClientTLS(creator, endpoint))


@implementer(IStreamClientEndpoint)
class _QuietEndpoint:
    """An endpoint whose connections are not logged each."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        setattr(factory, "noisy", False)  # noqa: B010  # of factories, but not of their interface
        return self._endpoint.connect(factory)


def _load_authorities(pem: bytes) -> list[Certificate]:
    found = [Certificate.loadPEM(each.encode("ascii")) for each in certificates(pem)]
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def _identify(paths: Iterable[str]) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what differs when one of the files was replaced."""
    return tuple(map(_identify_file, paths))


def _identify_file(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _load(path: str, parse: Callable[[bytes], T]) -> T:
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except (OSError, ValueError, PemError) as e:
        raise Failed(
            f"{path}, which connections to the state store need, cannot be used: {e}. Copy it from"
            " another master candidate",
            Code.ENVIRONMENT,
        ) from None


class StoreClients:
    """The clients of a master, which all have to follow the members of the store."""

    def __init__(self) -> None:
        # Weak references, so that clients which were replaced do not stay.
        self._clients: WeakSet[EtcdGateway] = WeakSet()

    def add(self, client: EtcdGateway) -> EtcdGateway:
        """Add a client, and return it."""
        self._clients.add(client)
        return client

    def use_endpoints(self, endpoints: Sequence[str]) -> None:
        """Let all of them use these endpoints."""
        for each in list(self._clients):
            each.use_endpoints(endpoints)


class VacancyWatch:
    """Finds out whether a cluster has no master, if it fails over automatically.

    The settings are read each time: a node gets them when it becomes a candidate.
    """

    def __init__(
        self,
        reactor: Reactor,
        files: IFiles,
        paths: Paths,
        *,
        name: str,
        has_ended: Callable[[Holder], bool],
    ) -> None:
        """``name`` and ``has_ended`` are those of ``VacancyFinder``."""
        self._reactor = reactor
        self._files = files
        self._paths = paths
        self._name = name
        self._has_ended = has_ended
        self._etcd: EtcdGateway | None = None
        self._finder: VacancyFinder | None = None
        self._made_for: tuple[StateStore, Stat | None] | None = None

    @property
    def active(self) -> bool:
        """Whether the settings that were last read ask this node for a failover."""
        return self._finder is not None

    async def find_vacancy(self) -> Vacancy | None:
        """Return the vacancy, if this node may take the role.

        :raises Failed: the settings or certificates are unusable.
        :raises OSError: etcd does not answer.
        """
        settings = read_settings(self._files, self._paths.state_store)
        if settings is None or not settings.automatic_failover:
            self.close()
            return None
        wanted = settings, self._files.stat(self._paths.store_certificate)
        if self._finder is None or self._made_for != wanted:
            self.close()
            self._finder = self._connect(settings)
            self._made_for = wanted
        return await self._finder.find_vacancy()

    def _connect(self, settings: StateStore) -> VacancyFinder:
        self._etcd = connect_to_store(
            self._reactor,
            settings.endpoints,
            self._paths.store_authority,
            self._paths.store_certificate,
            timeout=RENEWAL_TIMEOUT,
        )
        return VacancyFinder(
            self._etcd, settings.prefix, self._reactor, name=self._name, has_ended=self._has_ended
        )

    async def delete_leader_key(self, vacancy: Vacancy) -> bool:
        """Delete what is left of the leader key; return False if there is a master again.

        :raises OSError: etcd does not answer, or accepts no changes.
        """
        return self._finder is not None and await self._finder.delete_leader_key(vacancy)

    def close(self) -> None:
        """Close the connections."""
        if self._etcd is not None:
            self._etcd.close()
            self._etcd = self._finder = None
