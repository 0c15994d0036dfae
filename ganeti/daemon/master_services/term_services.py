# SPDX-License-Identifier: BSD-2-Clause
"""What a master does besides running jobs, from the begin of its term."""

from __future__ import annotations

from ganeti import __version__
from ganeti.daemon.master_services import api_certificate
from ganeti.daemon.master_services.api_certificate import ApiCertificateNames
from ganeti.daemon.master_services.cluster_keys import LocalClusterKeys
from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.daemon.store.local_members import LocalMemberTools
from ganeti.errors import Failed, GanetiError
from ganeti.master import backup_scheduler, cluster_address, store_members
from ganeti.master.ancillary_files import AncillaryFiles
from ganeti.master.master import Master
from ganeti.master.ssconf_distribution import SsconfDistribution
from ganeti.master.store_members import StoreMembers
from ganeti.operations.operation import SharedFiles


class TermServices:
    """Distributes files, and keeps the address, certificate and store of the cluster in order."""

    def __init__(
        self, daemon: Daemon, host: MasterHost, shared: SharedFiles, keys: LocalClusterKeys
    ) -> None:
        self._daemon = daemon
        self._host = host
        self._shared = shared
        self._keys = keys
        self._secrets: AncillaryFiles | None = None

    async def settle_uploads(self) -> None:
        """Return when the candidates have the secrets as they are, or cannot be reached."""
        if self._secrets is not None:
            await self._secrets.wait_for_uploads()

    def start(self, master: Master) -> None:
        """Start the services of a master whose term has begun."""
        # Not a part of the start of the master: only a daemon has node daemons that report.
        self._daemon.add(ServicePart("reports of nodes", start=master.status_watch.start))
        self._distribute_ssconf(master)
        secrets = self._secrets = self._distribute_secrets(master)
        self._keep_members(master, secrets)
        self._renew_api_certificate(master, secrets)
        self._daemon.repeat(
            "backup schedules",
            backup_scheduler.INTERVAL,
            master.backup_scheduler.submit_due,
            passing=(GanetiError,),
        )
        self._hold_address(master)

    def _distribute_ssconf(self, master: Master) -> None:
        ssconf = SsconfDistribution(
            master.nodes, master.config.state, self._host.reactor, __version__
        )
        master.config.observe(ssconf.config_changed)
        self._daemon.add(
            ServicePart("distribution of ssconf", start=ssconf.schedule_update, stop=ssconf.stop)
        )

    def _distribute_secrets(self, master: Master) -> AncillaryFiles:
        secrets = AncillaryFiles(
            master.nodes, master.config.state, self._shared, self._host.reactor
        )
        master.config.observe(secrets.config_changed)
        self._daemon.add(
            ServicePart("distribution of secrets", start=secrets.schedule_upload, stop=secrets.stop)
        )
        return secrets

    def _keep_members(self, master: Master, secrets: AncillaryFiles) -> None:
        host = self._host
        tools = LocalMemberTools(host.reactor, host.files, host.processes, host.paths, host.stores)
        members = StoreMembers(
            master.nodes,
            master.config.state,
            tools,
            master.quorum.holds_lease,
            secrets.schedule_upload,
            secrets.upload_now,
        )
        self._daemon.add(ServicePart("connections for the members of etcd", stop=tools.close))
        self._daemon.repeat(
            "members of the state store",
            store_members.INTERVAL,
            members.take_step,
            passing=(GanetiError,),
        )

    def _renew_api_certificate(self, master: Master, secrets: AncillaryFiles) -> None:
        names = ApiCertificateNames(
            self._host.files,
            self._host.paths.rapi_certificate,
            master.config.state,
            self._keys.cover_names,
            secrets.schedule_upload,
        )
        self._daemon.repeat(
            "names of the remote API's certificate",
            api_certificate.INTERVAL,
            names.look,
            passing=(Failed,),
        )

    def _hold_address(self, master: Master) -> None:
        address = master.address
        self._daemon.add(ServicePart("address of the cluster", stop=address.release_address))
        self._daemon.repeat(
            "renewal of the cluster's address",
            cluster_address.INTERVAL,
            address.renew,
            passing=(GanetiError,),
        )
