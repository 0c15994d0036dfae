# SPDX-License-Identifier: BSD-2-Clause
"""The connections of the master to node daemons, with the certificate of this node."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.daemon.connections.node_certificate import NodePolicy
from ganeti.daemon.process.reactor import Reactor
from ganeti.paths import Paths
from ganeti.rpc.agent import HttpTransport, TlsEndpoints
from ganeti.rpc.liveness import ProbedTransport
from ganeti.system.connection_errors import explain
from ganeti.system.interfaces import IFiles


class NodeConnections:
    """Keeps the connections to nodes in accordance with the certificates; ``transport`` uses them.

    ``accepts`` returns whether a node may present the certificate with a fingerprint.
    """

    def __init__(
        self,
        reactor: Reactor,
        files: IFiles,
        paths: Paths,
        port: int,
        accepts: Callable[[str, str], bool],
    ) -> None:
        """Load the certificate and the trusted authorities.

        :raises NoCertificate: this node has none that can be used.
        """
        self._files = files
        self._paths = paths
        self._policy = NodePolicy(paths, accepts)
        self._http = HttpTransport(
            TlsEndpoints(reactor, self._policy, port), reactor, explain=explain
        )
        self.transport = ProbedTransport(self._http, reactor)
        self._certificate = files.stat(paths.node_certificate)
        self._authorities = files.stat(paths.authority)

    def reload_if_changed(self) -> None:
        """Use the files that the node daemon replaces when a job renews certificates.

        :raises OSError: they cannot be read.
        :raises NoCertificate: they cannot be used.
        """
        # The authorities first: the new certificate may have been issued by a new one.
        if (trusted := self._files.stat(self._paths.authority)) != self._authorities:
            self._policy.reload(self._paths)
            self._authorities = trusted
        if (found := self._files.stat(self._paths.node_certificate)) != self._certificate:
            self.reload()
            self._certificate = found

    def reload(self) -> None:
        """Read the files again, and open new connections from now on."""
        self._policy.reload(self._paths)
        self.close()  # nodes will reject the certificate that these were opened with

    def certificates_changed(self, _: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Let each node show its certificate again when a recorded one has changed."""
        if any(edit.kind is RecordKind.CERTIFICATE for edit in edits):
            self.close()

    def close(self) -> None:
        """Close idle connections, and the others after their call."""
        self._http.close()
