# SPDX-License-Identifier: BSD-2-Clause
"""Assembly of a node's parts on a given host: a real one, or one in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from types import MappingProxyType

from twisted.internet.interfaces import IReactorTime

from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.journal.segments import SEGMENT_SIZE
from ganeti.model.disk import Template
from ganeti.node.backup_service import Backups
from ganeti.node.candidacy import Candidacy
from ganeti.node.cluster_commands import ClusterCommands
from ganeti.node.consoles import Connect, Consoles, no_connection
from ganeti.node.credentials import KeyFactory, NodeCredentials, refuse_key_creation
from ganeti.node.disks import Disks, make_storage_drivers
from ganeti.node.exports import Exports
from ganeti.node.files import Files
from ganeti.node.filter_restorer import FilterRestorer
from ganeti.node.guest_lease import (
    AskElector,
    GuestLease,
    StartWatchdog,
    ask_nobody,
    start_no_watchdog,
)
from ganeti.node.guest_snapshots import GuestSnapshots
from ganeti.node.guest_starts import GuestStarts
from ganeti.node.hooks import Hooks
from ganeti.node.image_library import ImageLibrary
from ganeti.node.image_signatures import ImageSignatures
from ganeti.node.instances import Instances
from ganeti.node.keys import Keys
from ganeti.node.master_address import MasterAddress
from ganeti.node.master_address_script import MasterAddressScript
from ganeti.node.members import MemberList
from ganeti.node.membership import (
    ClusterMembership,
    StartDaemons,
    StopDaemons,
    report_no_daemons,
    start_nothing,
)
from ganeti.node.names import Names
from ganeti.node.node_info import NodeInfoAnswers
from ganeti.node.oses import OSDefinitions
from ganeti.node.out_of_band import PowerHelpers
from ganeti.node.provider_reports import ProviderReports
from ganeti.node.raw_images import RawImages
from ganeti.node.replicas import Replica
from ganeti.node.restricted_commands import RestrictedCommands
from ganeti.node.scripts import OSScripts
from ganeti.node.status_reports import StatusReports
from ganeti.node.storage_units import StorageUnits
from ganeti.node.store_member import StoreMember
from ganeti.node.transfers import Transfers
from ganeti.node.trust import TrustedAuthorities
from ganeti.node.usage_counters import UsageCounters
from ganeti.node.usage_rings import UsageRings
from ganeti.node.verification import NodeChecks, ProbeFunction
from ganeti.node.voter import Voter
from ganeti.paths import NODED_PORT, Paths
from ganeti.repository.interfaces import IDiskReader, IRepositories
from ganeti.storage.drivers import drivers, units
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IVolumes
from ganeti.system.interfaces import (
    IFiles,
    IHostNames,
    IImages,
    IProcesses,
    IStateFiles,
    IStreams,
)

NO_VOLUME_DRIVERS: Mapping[Template, IVolumes] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Host:
    """The host of a node: its name, operating system interfaces and hypervisors.

    ``now`` is the time in seconds since the epoch, ``clock`` schedules calls. ``reach`` opens and
    closes a connection to a peer's node daemon, which listens on ``port``; ``stop`` ends this
    daemon. ``master_pid`` is the process id of the local master daemon, 0 if none runs;
    ``stop_master`` ends it, ``start_master`` starts it together with the remote API.
    ``stop_member`` ends the member of the state store, ``member_runs`` returns whether it runs.
    ``request`` makes a key and a signing request; ``reload`` makes the daemon use its certificate
    and trusted authorities as they are on disk. ``connect`` connects to the consoles of guests;
    ``secret`` generates their tickets. ``announce`` tells the network of a device that an address
    is here. ``segment_size`` is the size in bytes of a segment of the journal's copy.
    ``repositories`` are those of backups, ``disk_reader`` reads the disks for them.
    ``address_records`` say whether a script has configured the cluster's address.
    ``lease_notes`` are the notes that the watchdog shares, ``uptime`` is the clock that it shares,
    ``boot_id`` identifies the boot of the host, ``ask_elector`` asks another node to extend the
    lease of the guests, and ``start_watchdog`` starts the watchdog.
    """

    name: str
    paths: Paths
    files: IFiles
    images: IImages
    processes: IProcesses
    names: IHostNames
    streams: IStreams
    hypervisors: Mapping[str, IHypervisor]
    clock: IReactorTime
    now: Callable[[], float]
    reach: ProbeFunction
    stop: Callable[[], object]
    lease_notes: IStateFiles
    address_records: IStateFiles
    uptime: Callable[[], float]
    boot_id: Callable[[], str]
    repositories: IRepositories
    disk_reader: IDiskReader
    port: int = NODED_PORT
    master_pid: Callable[[], int] = lambda: 0
    stop_master: StopDaemons = report_no_daemons
    stop_member: StopDaemons = report_no_daemons
    member_runs: Callable[[], bool] = lambda: False
    start_master: StartDaemons = start_nothing
    request: KeyFactory = refuse_key_creation
    reload: Callable[[], None] = lambda: None
    segment_size: int = SEGMENT_SIZE
    connect: Connect = no_connection
    announce: Callable[[str, str], None] = lambda device, address: None
    secret: Callable[[], str] = lambda: token_hex(20)
    ask_elector: AskElector = ask_nobody
    start_watchdog: StartWatchdog = start_no_watchdog


@dataclass(frozen=True, kw_only=True)
class NodeParts:
    """The parts that handle the calls; see ``answers``."""

    backups: Backups
    candidacy: Candidacy
    checks: NodeChecks
    cluster_commands: ClusterCommands
    commands: RestrictedCommands
    consoles: Consoles
    credentials: NodeCredentials
    disks: Disks
    exports: Exports
    facts: NodeInfoAnswers
    files: Files
    guest_lease: GuestLease
    guest_snapshots: GuestSnapshots
    hooks: Hooks
    instances: Instances
    keys: Keys
    library: ImageLibrary
    master_address: MasterAddress
    members: MemberList
    membership: ClusterMembership
    names: Names
    oses: OSDefinitions
    power: PowerHelpers
    providers: ProviderReports
    replica: Replica
    filters: FilterRestorer
    reports: StatusReports
    scripts: OSScripts
    signatures: ImageSignatures
    store_member: StoreMember
    transfers: Transfers
    units: StorageUnits
    usage: UsageRings
    voter: Voter


def assemble_node(
    host: Host, volumes: Mapping[Template, IVolumes] = NO_VOLUME_DRIVERS
) -> NodeParts:
    """Return the parts of a node on ``host``; ``volumes`` replace its drivers for templates."""
    host_drivers = make_storage_drivers(
        host.name, host.paths, host.files, host.images, host.processes, host.now
    )
    storage, storage_units = {**drivers(host_drivers), **volumes}, units(host_drivers)
    raw_images = RawImages(host.processes, host.files, host.clock, host.paths.raw_images)
    disks = Disks(storage, host.images, raw_images)
    oses = OSDefinitions(host.files, host.paths.os_search_path)
    logs = f"{host.paths.log}/os"
    scripts = OSScripts(
        oses,
        host.processes,
        host.files,
        logs,
        host.now,
        cache=f"{host.paths.cache}/os",
        work=f"{host.paths.run}/seeds",
    )
    keys = Keys(host.files, host.paths.crypto, host.now)
    exports = Exports(host.files, host.paths)
    plain = Paths()
    backups = Backups(
        host.repositories,
        host.disk_reader,
        AllowedFolders(
            files=host.files,
            resolve=host.images.resolve,
            listing=plain.backup_paths,
            defaults=(plain.backup_storage,),
            root=host.paths.root,
            contents="repositories of backups",
        ),
        disks.paths,
        disks.raw_paths,
        host.hypervisors,
        host.files,
        host.paths.backup_scratch,
        host.clock,
    )
    signatures = ImageSignatures(
        host.files, host.processes, f"{host.paths.run}/signatures", host.secret
    )
    library = ImageLibrary(host.files, host.processes, host.paths, signatures)
    replica = Replica(
        host.files,
        host.paths.data,
        segment_size=host.segment_size,
        in_use=lambda: bool(host.master_pid()),
        make_handle=host.secret,
    )
    voter = Voter(
        host.files,
        host.paths.term_file,
        host.clock,
        replica=replica,
        serves=host.master_pid,
        name=host.name,
    )
    trust = TrustedAuthorities(host.files, host.paths, host.reload)
    members = MemberList(
        host.files, host.paths.member_list, host.name, lambda: voter.state, trust.replace_trusted
    )
    starts = GuestStarts()
    facts = NodeInfoAnswers(
        host.files, host.hypervisors, storage_units, starts, stop_marker=host.paths.stop_marker
    )
    guest_lease = GuestLease(
        host.files,
        host.paths.data,
        host.lease_notes,
        host.clock,
        name=host.name,
        uptime=host.uptime,
        boot_id=host.boot_id,
        hypervisors=host.hypervisors,
        ask=host.ask_elector,
        start_watchdog=host.start_watchdog,
    )

    instances = Instances(
        host.hypervisors,
        disks.paths,
        scripts,
        host.clock,
        host.name,
        incoming_paths=disks.incoming_paths,
        raw_paths=disks.raw_paths,
        may_run=guest_lease.require,
        starts=starts,
    )

    def forget() -> None:
        members.clear()
        guest_lease.forget()

    return NodeParts(
        backups=backups,
        candidacy=Candidacy(
            host.files, host.paths, members, lambda: bool(host.master_pid()), replica.close
        ),
        checks=NodeChecks(
            files=host.files,
            paths=host.paths,
            now=host.now,
            hypervisors=host.hypervisors,
            drivers=storage,
            units=storage_units,
            folders=host_drivers.folders,
            oses=oses.all_definitions,
            reach=host.reach,
            space=host.images.space,
            port=host.port,
        ),
        cluster_commands=ClusterCommands(host.files, host.processes, host.paths),
        commands=RestrictedCommands(
            host.files, host.processes, host.clock, host.paths.restricted_commands
        ),
        consoles=Consoles(host.hypervisors, host.connect, host.clock, host.secret),
        credentials=NodeCredentials(host.files, host.paths, host.name, host.request, host.reload),
        disks=disks,
        exports=exports,
        facts=facts,
        files=Files(host.files, host.paths, members.is_candidate),
        guest_lease=guest_lease,
        guest_snapshots=GuestSnapshots(host.hypervisors, disks, instances.lock_instance),
        hooks=Hooks(host.files, host.processes, host.paths.hooks),
        instances=instances,
        keys=keys,
        library=library,
        master_address=MasterAddress(
            host.processes,
            host.announce,
            MasterAddressScript(
                host.processes, host.address_records, host.clock, host.paths.master_address_script
            ),
            host.address_records,
        ),
        names=Names(host.names),
        members=members,
        membership=ClusterMembership(
            host.files,
            host.paths,
            host.clock,
            host.stop,
            host.stop_master,
            start_master=host.start_master,
            is_mine=lambda: voter.state.master == host.name and not host.master_pid(),
            forget_members=forget,
            stop_member=host.stop_member,
        ),
        oses=oses,
        power=PowerHelpers(host.files, host.processes),
        providers=ProviderReports(host_drivers.providers),
        replica=replica,
        reports=StatusReports(facts.describe, host.clock, host.secret),
        scripts=scripts,
        signatures=signatures,
        store_member=StoreMember(host.files, host.paths, host.member_runs, host.stop_member),
        transfers=Transfers(
            streams=host.streams,
            files=host.files,
            paths=host.paths,
            disks=disks.raw_paths,
            scripts=scripts,
            keys=keys,
            exports=exports,
            backups=backups,
            library=library,
            processes=host.processes,
            members=members,
            clock=host.clock,
            now=host.now,
        ),
        units=StorageUnits(storage_units, storage),
        filters=FilterRestorer(host.hypervisors),
        usage=UsageRings(UsageCounters(host.files, host.hypervisors).read, host.clock, host.now),
        voter=voter,
    )
