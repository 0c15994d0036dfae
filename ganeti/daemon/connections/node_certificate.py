# SPDX-License-Identifier: BSD-2-Clause
"""The certificate of a node, and the TLS settings of connections between daemons.

Both sides of a connection show a certificate of the cluster's authority, of which there may be
several while it is replaced. Sessions are not resumed, so that a peer shows its certificate each
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from weakref import ref

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL.crypto import X509, PKey, X509Store, X509StoreContext, X509StoreContextError
from OpenSSL.SSL import VERIFY_FAIL_IF_NO_PEER_CERT, VERIFY_PEER, Connection, Context
from OpenSSL.SSL import Error as SSLError
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from ganeti.bootstrap.foreign_folder import explain_foreign, is_foreign
from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.rpc.callers import Peer
from ganeti.system.connection_errors import HOSTNAME_MISMATCH, CertificateRejected

T = TypeVar("T")


class NoCertificate(Failed):
    """The node has no usable certificate; ``exit_code`` is that of a daemon that cannot start."""

    def __init__(self, message: str, exit_code: int = 12) -> None:
        super().__init__(message, Code.ENVIRONMENT)
        self.exit_code = exit_code


@dataclass(frozen=True)
class NodeCertificate:
    """A node's certificate and key, and the authorities that it trusts."""

    certificate: x509.Certificate
    key: PKey
    authorities: tuple[X509, ...]

    def options(self, *, require_peer: bool) -> CertificateOptions:
        """Return the TLS settings; with ``require_peer``, the peer must show a certificate."""
        return CertificateOptions(
            privateKey=self.key,
            certificate=X509.from_cryptography(self.certificate),
            verify=True,
            caCerts=list(self.authorities),
            requireCertificate=require_peer,
            raiseMinimumTo=TLSVersion.TLSv1_3,
            # Sessions are not resumed, see above.
            enableSessions=False,
            enableSessionTickets=False,
        )


def load(paths: Paths) -> NodeCertificate:
    """Load the certificate, key and authorities of this node.

    :raises NoCertificate: if they are missing or invalid; the message says what to do.
    """
    if is_foreign(paths):
        raise NoCertificate(explain_foreign(paths), exit_code=5)
    authorities = _read(paths.authority, x509.load_pem_x509_certificates)
    own, key = _read(paths.node_certificate, _certificate_and_key)
    return NodeCertificate(own, key, tuple(map(X509.from_cryptography, authorities)))


def _certificate_and_key(pem: bytes) -> tuple[x509.Certificate, PKey]:
    certificate = x509.load_pem_x509_certificate(pem)
    # No password: an encrypted key fails here; otherwise OpenSSL would prompt for it.
    key = load_pem_private_key(pem, password=None)
    if key.public_key() != certificate.public_key():
        raise ValueError("the key belongs to another certificate")
    return certificate, PKey.from_cryptography_key(key)  # type: ignore[arg-type]  # some kinds only


def _read(path: str, parse: Callable[[bytes], T]) -> T:
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except FileNotFoundError:
        raise NoCertificate(
            f"{path} does not exist: this node is not part of a cluster; add it to one (gnt-node"
            " add on the master shows the command), or create one (gnt-cluster init)",
            exit_code=5,
        ) from None
    except (OSError, ValueError, TypeError, SSLError) as e:
        raise NoCertificate(
            f"{path} cannot be used: {e}; add the node again (gnt-node add --readd)"
        ) from None


def verify_own_certificate(paths: Paths, name: str) -> None:
    """Verify that the node's certificate is issued by the authority, valid now, and for ``name``.

    :raises NoCertificate: if it is not; the message says what to do.
    """
    own = load(paths)
    store = X509Store()
    for authority in own.authorities:
        store.add_cert(authority)
    try:
        X509StoreContext(store, X509.from_cryptography(own.certificate)).verify_certificate()
        verify_certificate_hostname(own.certificate, name)
    except X509StoreContextError as e:
        what = _CERTIFICATE_PROBLEMS.get(e.errors[0], str(e))
    except (VerificationError, CertificateError):
        what = _CERTIFICATE_PROBLEMS[HOSTNAME_MISMATCH]
    else:
        return
    raise NoCertificate(f"{paths.node_certificate} {what}")


_REJOIN_ADVICE = "; add the node again (gnt-node add --readd on the master)"
_CERTIFICATE_PROBLEMS = {
    # The numbers of X509_STORE_CTX_get_error(3).
    7: "was not issued by the authority in ca.pem" + _REJOIN_ADVICE,
    9: "is not valid yet; correct the clock of this host",
    10: "(or the authority's certificate) has expired" + _REJOIN_ADVICE,
    18: "was not issued by the authority in ca.pem" + _REJOIN_ADVICE,
    19: "was not issued by the authority in ca.pem" + _REJOIN_ADVICE,
    20: "was not issued by the authority in ca.pem" + _REJOIN_ADVICE,
    HOSTNAME_MISMATCH: "belongs to another node; start the daemon with the name of this node in"
    " GANETI_HOSTNAME" + _REJOIN_ADVICE,
}


def get_peer(transport: object) -> Peer | None:
    """Return the name and fingerprint of the certificate that the peer has shown, if any."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return None
    certificate = transport.getHandle().get_peer_certificate(as_cryptography=True)
    if certificate is None:
        return None
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else "a node without a name"
    return Peer(name, certificate.fingerprint(SHA256()).hex())


@implementer(IOpenSSLServerConnectionCreator)
class NodeServerTLS:
    """The TLS settings of a node daemon's server; peers may connect without a certificate."""

    def __init__(self, paths: Paths) -> None:
        """Load the certificate, key and authorities of this node.

        :raises NoCertificate: if they are missing or invalid; the message says what to do.
        """
        self.reload(paths)

    def reload(self, paths: Paths) -> None:
        """Use the current files for new connections.

        :raises NoCertificate: if they are missing or invalid; the previous ones remain in use.
        """
        self._options = load(paths).options(require_peer=False)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        return self._options.serverConnectionForTLS(protocol)


CertificatePolicy: TypeAlias = Callable[[str, str], bool]
"""Returns whether a node of this name may show the certificate with this fingerprint."""


@implementer(IPolicyForHTTPS)
class NodePolicy:
    """The TLS settings of connections from this node to others.

    The peer's certificate must be for its name, and ``accepts`` must recognize it.
    """

    def __init__(
        self, paths: Paths, accepts: CertificatePolicy = lambda name, fingerprint: True
    ) -> None:
        """Load the certificate, key and authorities of this node.

        :raises NoCertificate: if they are missing or invalid; the message says what to do.
        """
        self._accepts = accepts
        self.reload(paths)

    def reload(self, paths: Paths) -> None:
        """Use the current files for new connections.

        :raises NoCertificate: if they are missing or invalid; the previous ones remain in use.
        """
        self._context = load(paths).options(require_peer=True).getContext()

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return the creator of connections to the node of this name."""
        return _NodeConnection(self._context, hostname.decode("ascii"), self._accepts)


@implementer(IOpenSSLClientConnectionCreator)
class _NodeConnection:
    """Creates the TLS connection to a node."""

    def __init__(self, context: Context, name: str, accepts: CertificatePolicy) -> None:
        self._context = context
        self._name = name
        self._accepts = accepts

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        connection = Connection(self._context, None)
        connection.set_tlsext_host_name(self._name.encode("ascii"))
        # A weak reference: the protocol references the connection, which references this callback.
        weak = ref(protocol)

        def verify(_: Connection, certificate: X509, code: int, depth: int, good: int) -> bool:
            refusal = None if good else CertificateRejected.by_code(code)
            if good and depth == 0:
                refusal = self._check_certificate(certificate.to_cryptography())
            # The connection fails with this reason; OpenSSL would only report a failed
            # verification.
            if refusal is not None and (refused := weak()) is not None:
                refused.failVerification(Failure(refusal))
            return refusal is None

        connection.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection

    def _check_certificate(self, certificate: x509.Certificate) -> CertificateRejected | None:
        """Return why a certificate of the authority is rejected, or None."""
        try:
            verify_certificate_hostname(certificate, self._name)
        except (VerificationError, CertificateError):
            return CertificateRejected.by_code(HOSTNAME_MISMATCH)
        if self._accepts(self._name, certificate.fingerprint(SHA256()).hex()):
            return None
        return CertificateRejected(
            "its certificate was not issued by this cluster or is no longer accepted; add the"
            f" node again: gnt-node add --readd {self._name}"
        )
