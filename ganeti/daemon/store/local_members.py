# SPDX-License-Identifier: BSD-2-Clause
"""What the master needs on its host to change the members of the state store."""

from __future__ import annotations

from ganeti.bootstrap.etcd_members import EtcdMember
from ganeti.daemon.process.key_program import KeyProgram
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.store.state_store import save_settings
from ganeti.daemon.store.store_connection import StoreClients, connect_to_store
from ganeti.journal.etcd.gateway import EtcdGateway
from ganeti.journal.etcd.store_settings import StateStore, read_settings
from ganeti.master.store_members import MemberTools
from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles, IProcesses, Stat


class LocalMemberTools(MemberTools):
    """The settings, authority and client of the members; see ``master.store_members``."""

    def __init__(
        self,
        reactor: Reactor,
        files: IFiles,
        processes: IProcesses,
        paths: Paths,
        clients: StoreClients,
    ) -> None:
        self._reactor = reactor
        self._files = files
        self._paths = paths
        self._clients = clients
        self._issuer = KeyProgram(
            processes,
            paths,
            "ganeti.bootstrap.own_members",
            "no certificate of the state store was issued",
        )
        self._etcd: EtcdGateway | None = None
        self._made_for: Stat | None = None

    def settings(self) -> StateStore | None:
        return read_settings(self._files, self._paths.state_store)

    async def save(self, settings: StateStore) -> None:
        await save_settings(self._files, self._paths, settings)
        self._clients.use_endpoints(settings.endpoints)

    def etcd(self) -> EtcdGateway:
        certificate = self._files.stat(self._paths.store_certificate)
        if self._etcd is None or certificate != self._made_for:
            self.close()
            settings = self.settings()
            assert settings is not None
            paths = self._paths
            self._etcd = self._clients.add(
                connect_to_store(
                    self._reactor,
                    settings.endpoints,
                    paths.store_authority,
                    paths.store_certificate,
                )
            )
            self._made_for = certificate
        return self._etcd

    def authority(self) -> str:
        return self._files.read(self._paths.store_authority).decode("ascii")

    async def issue(self, name: str, address: str) -> str:
        return (await self._issuer.run("member", name, address)).decode("ascii")

    async def renew_client(self) -> None:
        await self._issuer.run("client")

    async def issuers(self) -> tuple[str, str]:
        authority, _, client = (await self._issuer.run("issuers")).decode("ascii").partition(" ")
        return authority, client

    async def retire(self) -> None:
        await self._issuer.run("retire")

    def peer_url(self, address: str) -> str:
        return EtcdMember("", address, "").peer

    def close(self) -> None:
        """Close the connections."""
        etcd, self._etcd = self._etcd, None
        if etcd is not None:
            etcd.close()
