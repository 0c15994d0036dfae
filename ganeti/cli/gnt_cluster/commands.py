# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster``: initialize, configure, verify and destroy the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli import ipolicy_options
from ganeti.cli.command import DRY_RUN, FORCE, READS, URGENCY, Command, Positional, tool
from ganeti.cli.gnt_cluster import notifications
from ganeti.cli.gnt_cluster.audit_options import AUDIT
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, LINES, ROMAN
from ganeti.cli.options import (
    ADDRESS,
    BOOL,
    COUNT,
    IDENTKEYVAL,
    INFERRED,
    INT,
    KEYVAL,
    LIST,
    PORT,
    RANGES,
    SECONDS,
    TEXT,
    UNIT,
    WHOLE_SECONDS,
    Option,
    choice,
    unsupported,
)
from ganeti.cli.program import run_tool
from ganeti.cli.tags import tag_commands

if TYPE_CHECKING:
    from ganeti.cli import job_polling, tag_actions
    from ganeti.cli.gnt_cluster import (
        actions,
        epo,
        guest_failover,
        history,
        membership,
        placement,
        renewal,
        run_on_nodes,
        settings,
        software_upgrade,
        state_backup,
        state_store,
        take_over,
        watch,
    )
else:
    job_polling = LazyModule("ganeti.cli.job_polling")
    tag_actions = LazyModule("ganeti.cli.tag_actions")
    actions = LazyModule("ganeti.cli.gnt_cluster.actions")
    take_over = LazyModule("ganeti.cli.gnt_cluster.take_over")
    epo = LazyModule("ganeti.cli.gnt_cluster.epo")
    guest_failover = LazyModule("ganeti.cli.gnt_cluster.guest_failover")
    history = LazyModule("ganeti.cli.gnt_cluster.history")
    membership = LazyModule("ganeti.cli.gnt_cluster.membership")
    placement = LazyModule("ganeti.cli.gnt_cluster.placement")
    renewal = LazyModule("ganeti.cli.gnt_cluster.renewal")
    run_on_nodes = LazyModule("ganeti.cli.gnt_cluster.run_on_nodes")
    settings = LazyModule("ganeti.cli.gnt_cluster.settings")
    software_upgrade = LazyModule("ganeti.cli.gnt_cluster.software_upgrade")
    state_backup = LazyModule("ganeti.cli.gnt_cluster.state_backup")
    state_store = LazyModule("ganeti.cli.gnt_cluster.state_store")
    watch = LazyModule("ganeti.cli.gnt_cluster.watch")

YES_DO_IT = Option(("--yes-do-it", "--ya-rly"), "yes_do_it", "Confirm that this should be done.")

NODE_PORT = Option(("--node-port",), "node_port", "The port of the node daemons.", PORT)
SOME_NODES = (
    NODE_PORT,
    Option(("-n", "--node"), "nodes", "Use only this node.", TEXT, many=True, metavar="NODE"),
    Option(("-g", "--node-group"), "group", "Use only nodes of this group.", TEXT, metavar="GROUP"),
)
SETTINGS = (
    Option(("--add-uids",), "add_uids", "", RANGES),
    Option(("--remove-uids",), "remove_uids", "", RANGES),
    Option(("--uid-pool",), "uid_pool", "", RANGES),
    Option(("--master-netmask",), "master_netmask", "", INT),
    Option(
        ("-H", "--hypervisor-parameters"),
        "hvparams",
        "",
        IDENTKEYVAL.with_keys("hypervisor"),
        many=True,
    ),
    Option(("-B", "--backend-parameters"), "beparams", "", KEYVAL.with_keys("backend")),
    Option(("--data-collector-interval",), "data_collector_interval", "", KEYVAL),
    Option(("--enabled-data-collectors",), "enabled_data_collectors", "", KEYVAL),
)
_OS_FIELDS = (*("os_hvp", "osparams", "osparams_private_cluster", "hidden_os", "blacklisted_os"),)

_NO_SSH = "nodes are managed by their daemons only, not by SSH"
_NO_SPICE = (
    "put the certificate into spice.pem and spice-ca.pem in /var/lib/ganeti of all nodes, for"
    " example by gnt-cluster copyfile"
)
NO_CRYPTO = (
    unsupported("--new-confd-hmac-key", "there is no confd daemon"),
    unsupported("--new-spice-certificate", _NO_SPICE),
    unsupported("--spice-certificate", _NO_SPICE, TEXT),
    unsupported("--spice-ca-certificate", _NO_SPICE, TEXT),
    unsupported("--new-ssh-keys", _NO_SSH),
    unsupported("--ssh-key-type", _NO_SSH, choice(("dsa", "ecdsa", "rsa"))),
    unsupported("--ssh-key-bits", _NO_SSH, INT),
    Option(
        ("--no-ssh-key-check",), "no_ssh_key_check", "Accepted for compatibility; SSH is not used."
    ),
)


def _init_option(flags: str, name: str, doc: str, *kind: object, **more: object) -> Option:
    return Option(tuple(flags.split()), name, doc, *kind, **more)  # type: ignore[arg-type]


STORE = (
    _init_option(
        "--state-store",
        "state_store",
        "Where the state is: in files of the master candidates (the default), or in etcd. Without"
        " endpoints, the cluster runs the members of etcd on master candidates.",
        choice(("file", "etcd")),
    ),
    _init_option(
        "--etcd-endpoints",
        "etcd_endpoints",
        "The members of an etcd that runs already, such as https://192.0.2.1:2379.",
        LIST,
    ),
    _init_option(
        "--etcd-ca",
        "etcd_ca",
        "A file with the certificate of the authority of etcd's members.",
        TEXT,
    ),
    _init_option(
        "--etcd-certificate",
        "etcd_certificate",
        "A file with a key and its certificate, with which etcd admits the master.",
        TEXT,
    ),
    _init_option(
        "--automatic-failover",
        "automatic_failover",
        "Whether a candidate becomes the master when the present one is gone; for etcd only, and"
        " yes by default.",
        BOOL,
    ),
)

ADOPT = (
    Option(
        ("--check",),
        "check",
        "Only show what would come over, and what stands in the way; change nothing.",
    ),
    Option(
        ("--new-rapi-certificate",),
        "new_rapi_certificate",
        "Issue a new certificate for the remote API, and do not keep that of Ganeti.",
    ),
    Option(
        ("--give-back",),
        "give_back",
        "Put the files of Ganeti in their place again on this node, so that it continues.",
    ),
)

INIT = (
    _init_option(
        "--master-address",
        "master_address",
        "The address of the cluster, which moves with the master; by default the address of the"
        " cluster's name.",
        ADDRESS,
    ),
    _init_option(
        "--primary-ip",
        "primary_ip",
        "The primary address of this node; by default the address of its name.",
        ADDRESS,
    ),
    _init_option(
        "-s --secondary-ip",
        "secondary_ip",
        "The address of this node for DRBD traffic.",
        ADDRESS,
    ),
    _init_option("--primary-ip-version", "primary_ip_version", "4 or 6.", choice("46")),
    *STORE,
    _init_option(
        "--enabled-hypervisors",
        "hypervisors",
        "The hypervisors that may be used, the default one first.",
        LIST,
    ),
    _init_option(
        "--enabled-disk-templates",
        "templates",
        "The disk templates that may be used, the default one first.",
        LIST,
    ),
    _init_option(
        "-B --backend-parameters",
        "beparams",
        "The default backend parameters of all instances.",
        KEYVAL.with_keys("backend"),
    ),
    _init_option(
        "-H --hypervisor-parameters",
        "hvparams",
        "Hypervisor parameters, by hypervisor.",
        IDENTKEYVAL.with_keys("hypervisor"),
        many=True,
    ),
    _init_option(
        "-N --nic-parameters",
        "nicparams",
        "The default parameters of network cards.",
        KEYVAL.with_keys("nic"),
    ),
    _init_option(
        "--node-parameters", "ndparams", "The default node parameters.", KEYVAL.with_keys("node")
    ),
    _init_option(
        "-D --disk-parameters",
        "diskparams",
        "Disk parameters, by disk template.",
        IDENTKEYVAL.with_keys("disk"),
        many=True,
    ),
    _init_option(
        "--hypervisor-state",
        "hv_state",
        "The resources that each hypervisor itself uses on a node.",
        IDENTKEYVAL.with_keys("hypervisor-state"),
        many=True,
    ),
    _init_option(
        "--disk-state",
        "disk_state",
        "The space that is reserved on each storage, as KIND/NAME.",
        IDENTKEYVAL.with_keys("disk-state"),
        many=True,
    ),
    *ipolicy_options.CLUSTER_OPTIONS,
    *ipolicy_options.SPECS.values(),
    _init_option(
        "-C --candidate-pool-size",
        "candidate_pool_size",
        "The number of master candidates, which have a copy of the configuration.",
        INT,
    ),
    _init_option(
        "--compression-tools", "compression_tools", "The compression tools that may be used.", LIST
    ),
    _init_option(
        "-I --default-iallocator",
        "default_iallocator",
        "The instance allocator to use if none is named.",
        TEXT,
        metavar="NAME",
    ),
    _init_option(
        "--default-iallocator-params",
        "default_iallocator_params",
        "Parameters of the default instance allocator.",
        KEYVAL,
    ),
    _init_option(
        "--drbd-usermode-helper",
        "drbd_helper",
        "The usermode helper of DRBD.",
        TEXT,
        metavar="PROGRAM",
    ),
    _init_option(
        "--file-storage-dir", "file_storage_dir", "Directory for file disks.", TEXT, metavar="DIR"
    ),
    _init_option(
        "--shared-file-storage-dir",
        "shared_file_storage_dir",
        "Directory for shared file disks.",
        TEXT,
        metavar="DIR",
    ),
    _init_option(
        "--gluster-storage-dir",
        "gluster_storage_dir",
        "Directory for Gluster disks.",
        TEXT,
        metavar="DIR",
    ),
    _init_option(
        "--install-image", "install_image", "The image that safe installations run from.", TEXT
    ),
    _init_option("--zeroing-image", "zeroing_image", "The image that zeroes free space.", TEXT),
    _init_option(
        "-m --mac-prefix",
        "mac_prefix",
        "The first three bytes of MAC addresses; random by default.",
        TEXT,
        metavar="PREFIX",
    ),
    _init_option(
        "--maintain-node-health",
        "maintain_node_health",
        "Stop instances that run on the wrong node.",
        BOOL,
    ),
    _init_option(
        "--master-netdev",
        "master_netdev",
        "The network device of the cluster's address; by default the device of this node's"
        " address.",
        TEXT,
    ),
    _init_option(
        "--master-netmask", "master_netmask", "The netmask of the cluster's address, in bits.", INT
    ),
    _init_option(
        "--no-etc-hosts",
        "modify_etc_hosts",
        "Do not modify /etc/hosts; always so here, accepted for compatibility.",
        sets=False,
    ),
    _init_option(
        "--no-ssh-init",
        "modify_ssh_setup",
        "Do not set up SSH; always so here, accepted for compatibility.",
        sets=False,
    ),
    _init_option(
        "--prealloc-wipe-disks", "prealloc_wipe_disks", "Wipe new disks before use.", BOOL
    ),
    _init_option("--ssh-key-bits", "ssh_key_bits", "The length of SSH keys, in bits.", INT),
    _init_option(
        "--ssh-key-type", "ssh_key_type", "The type of SSH keys.", choice(("dsa", "ecdsa", "rsa"))
    ),
    _init_option("--uid-pool", "uid_pool", "User IDs for guest processes.", RANGES),
    _init_option(
        "--use-external-mip-script",
        "use_external_mip_script",
        "Set up the cluster's address by a script of the administrator.",
        BOOL,
    ),
    _init_option(
        "--user-shutdown",
        "enabled_user_shutdown",
        "Do not restart instances that their users have shut down.",
        BOOL,
    ),
    _init_option(
        "--vg-name", "vg_name", "The volume group for logical volumes.", TEXT, metavar="VG"
    ),
)

GNT_CLUSTER = tool(
    "gnt-cluster",
    "Initialize, configure, verify and destroy the cluster.",
    tag_commands("cluster"),
    notifications.COMMANDS,
    Command(
        name="search-tags",
        doc="Find the tags of all objects that match a regular expression.",
        words=(Positional("pattern", "pattern"),),
        options=(FORM,),
        submits=True,
        job_options=READS,
        run=tag_actions.search,
    ),
    Command(
        name="init",
        doc="Make this node the first node and the master of a new cluster.",
        words=(Positional("cluster", "cluster-name"),),
        options=INIT,
        run=membership.init,
    ),
    Command(
        name="adopt",
        doc="Take over a cluster that Ganeti runs, on its master: folder is its /var/lib/ganeti, or"
        " a copy of that.",
        words=(Positional("folder", "folder", 0),),
        options=ADOPT,
        run=take_over.adopt_cluster,
    ),
    Command(
        name="destroy",
        doc="Destroy the cluster; the master must be its only node.",
        options=(YES_DO_IT,),
        submits=True,
        job_options=(DRY_RUN, URGENCY),
        run=membership.destroy,
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show the settings of the cluster.",
        options=(FORM, ROMAN),
        run=actions.info,
    ),
    Command(
        name="show-ispecs-cmd",
        doc="Show the command that initializes a cluster with the instance specs of this one's"
        " policy.",
        run=actions.show_specs,
    ),
    Command(
        name="version",
        doc="Show the versions of the software and its formats.",
        options=(FORM,),
        run=actions.version,
    ),
    Command(name="getmaster", doc="Show the name of the master.", run=actions.getmaster),
    Command(
        name="epo",
        doc="Emergency power off: stop instances and power off nodes; --on powers them on again.",
        words=(Positional("names", "node|group", 0, None),),
        options=(
            Option(("--all",), "all", "All nodes except the master, with all instances."),
            Option(("--groups",), "groups", "The arguments are node groups."),
            Option(("--on",), "on", "Power on the nodes, and start their instances."),
            FORCE,
            Option(
                ("--oob-timeout",),
                "oob_timeout",
                "Timeout of the out-of-band helper, in seconds.",
                WHOLE_SECONDS,
            ),
            Option(
                ("--power-delay",), "power_delay", "Delay between two nodes, in seconds.", SECONDS
            ),
            Option(
                ("--shutdown-timeout",),
                "shutdown_timeout",
                "Timeout for the shutdown of a guest, in seconds.",
                WHOLE_SECONDS,
            ),
            NODE_PORT,
        ),
        run=epo.epo,
    ),
    Command(
        name="command",
        doc="Run a command line on all nodes, or some, and show its output and exit code.",
        words=(Positional("command", "command", 1, None),),
        options=(
            *SOME_NODES,
            Option(
                ("-M", "--show-machine-names"),
                "named",
                "Prefix each line of output with the name of the node.",
            ),
            Option(
                ("--failure-only",),
                "failure_only",
                "Show only the nodes on which the command fails.",
            ),
        ),
        mixed=False,
        run=run_on_nodes.command,
    ),
    Command(
        name="copyfile",
        doc="Copy a file of the master to the same path on all other nodes, or some.",
        words=(Positional("file", "file"),),
        options=(
            *SOME_NODES,
            Option(
                ("--use-replication-network",),
                "replication",
                "Send the file to the secondary addresses of the nodes.",
            ),
        ),
        run=run_on_nodes.copyfile,
    ),
    Command(
        name="master-failover",
        aliases=("masterfailover",),
        doc="Make this node, a master candidate, the master.",
        options=(
            Option(
                ("--no-voting",),
                "no_voting",
                "Take over even if most nodes do not answer.",
            ),
            Option(
                ("--accept-loss",),
                "accept_loss",
                "Take over even if acknowledged changes may be missing on this node.",
            ),
            NODE_PORT,
            Option(
                ("--ignore-offline-nodes",),
                "ignore_offline_nodes",
                "Accepted for compatibility: nodes that are marked offline never vote.",
            ),
            YES_DO_IT,
        ),
        run=membership.failover,
    ),
    Command(
        name="backup-state",
        doc="Write the state in etcd to a file.",
        words=(Positional("file", "file"),),
        run=state_backup.back_up_state,
    ),
    Command(
        name="restore-state",
        doc="Replace the state in etcd by that of a backup.",
        words=(Positional("file", "file"),),
        options=(
            Option(
                ("--new-members",),
                "new_members",
                "Give up the members of etcd that the cluster ran, and found new ones here.",
            ),
            YES_DO_IT,
        ),
        run=state_backup.restore_state,
    ),
    Command(
        name="upgrade",
        opcode="OP_CLUSTER_UPGRADE",
        doc="Upgrade the software of the nodes one after the other, by a command of theirs.",
        options=(
            Option(
                ("--resume",),
                "resume",
                "Accepted for compatibility: an upgrade always goes on where it was interrupted.",
            ),
        ),
        flags=(
            Option(("--to",), "release", "", TEXT, metavar="RELEASE"),
            Option(("--canary",), "canary", "", TEXT, metavar="NODE"),
            Option(("--command",), "command", "", TEXT, metavar="NAME"),
            Option(("--timeout",), "timeout", "", WHOLE_SECONDS),
        ),
        run=software_upgrade.upgrade,
    ),
    Command(
        name="confirm-down",
        doc="Let the master continue without the votes of nodes that are certainly down.",
        words=(Positional("names", "node", 1, None),),
        options=(YES_DO_IT,),
        run=membership.confirm_down,
    ),
    Command(
        name="renew-crypto",
        doc="Create new keys and certificates; clients of the remote API may need the new CA.",
        options=(
            Option(
                ("--new-cluster-certificate",),
                "new_cluster_certificate",
                "Create a new certificate authority for the cluster, and new keys and"
                " certificates for all nodes and the remote API; also completes an interrupted"
                " replacement.",
            ),
            Option(
                ("--new-node-certificates",),
                "new_node_certificates",
                "Create new keys and certificates for all nodes.",
            ),
            Option(
                ("--new-rapi-certificate",),
                "new_rapi_certificate",
                "Create a new key and certificate for the remote API.",
            ),
            Option(
                ("--rapi-certificate",),
                "rapi_certificate",
                "Use the key and certificate in this file for the remote API.",
                TEXT,
                metavar="FILE",
            ),
            Option(
                ("--new-cluster-domain-secret",),
                "new_domain_secret",
                "Create a new secret for moves between clusters.",
            ),
            Option(
                ("--new-state-store-authority",),
                "new_store_authority",
                "Create a new certificate authority for the members of etcd that the cluster runs,"
                " and new certificates of it, one member after the other.",
            ),
            Option(
                ("--cluster-domain-secret",),
                "domain_secret",
                "Use the secret in this file for moves between clusters.",
                TEXT,
                metavar="FILE",
            ),
            Option(("-f", "--force"), "force", "Do not ask for confirmation."),
            Option(
                ("-v", "--verbose"),
                "verbose",
                "Accepted for compatibility; the job's log has all details.",
            ),
            *NO_CRYPTO,
        ),
        submits=True,
        confirm="Create new keys and certificates?",
        run=renewal.renew,
    ),
    Command(name="master-ping", doc="Succeed if the master daemon answers.", run=actions.ping),
    Command(
        name="verify",
        opcode="OP_CLUSTER_VERIFY",
        doc="Check the configuration, and every node group with its nodes and instances.",
        options=(
            Option(
                ("--no-nplus1-mem",),
                "no_n_plus_one",
                "Do not check that instances fit on other nodes if one node fails.",
            ),
        ),
        flags=(
            Option(("-v", "--verbose"), "verbose", ""),
            Option(
                ("-I", "--ignore-errors"), "ignore_errors", "", INFERRED, many=True, metavar="CODE"
            ),
        ),
        without=("skip_checks",),
        given=actions.checks,
        ended=job_polling.follow_submitted_jobs,
    ),
    Command(
        name="balance",
        opcode="OP_CLUSTER_BALANCE",
        doc="Show the moves of instances that use the nodes evenly, and submit them as jobs.",
        options=(FORCE,),
        flags=(
            Option(("-n", "--node"), "nodes", "", TEXT, many=True, metavar="NODE"),
            Option(("-g", "--node-group"), "group_name", "", TEXT, metavar="GROUP"),
            Option(("--tag",), "tags", "", TEXT, many=True, metavar="TAG"),
            Option(("--max-moves",), "max_moves", "", COUNT),
            Option(("--seed",), "seed", "", COUNT),
            Option(
                ("--no-disk-moves",),
                "disk_moves",
                "Do not replace secondary nodes, which copies disks.",
                sets=False,
            ),
        ),
        run=placement.balance,
    ),
    Command(
        name="capacity",
        opcode="OP_CLUSTER_CAPACITY",
        doc="Show how many more instances of a size fit, and what stops the next one.",
        flags=(
            Option(("-g", "--node-group"), "group_name", "", TEXT, metavar="GROUP"),
            Option(("--memory",), "memory", "", UNIT),
            Option(("--disk-size",), "disk_size", "", UNIT),
            Option(("--vcpus",), "vcpus", "", COUNT),
            Option(("--spindle-use",), "spindle_use", "", COUNT),
        ),
        options=(FORM,),
        job_options=READS,
        run=placement.capacity,
    ),
    Command(
        name="failover status",
        doc="Show the leases, guards and fences of nodes with instances that are to fail over.",
        options=(FORM,),
        run=guest_failover.show_status,
    ),
    Command(
        name="failover modify",
        opcode="OP_CLUSTER_SET_FAILOVER",
        flags=(
            Option(("--maintenance",), "maintenance", "", BOOL),
            Option(("--max-nodes",), "max_nodes", "", COUNT),
            Option(("--window",), "window", "", WHOLE_SECONDS),
            Option(("--require-device",), "require_device", "", BOOL),
        ),
    ),
    Command(
        name="rehearse-failure",
        opcode="OP_CLUSTER_REHEARSE_FAILURE",
        doc="Show where the instances of nodes would start if these nodes failed now, what would"
        " not start and why, and the estimated time. The exit code is 1 if an instance that is to"
        " fail over would not start.",
        words=(Positional("node_names", "node", 1, None),),
        options=(FORM,),
        job_options=READS,
        run=guest_failover.rehearse,
    ),
    Command(
        name="survive",
        opcode="OP_CLUSTER_SURVIVE",
        doc="Show which failures of one node, and of two, the cluster survives now. The exit code"
        " is 1 if there is one node whose failure is not survived.",
        options=(FORM,),
        job_options=READS,
        run=guest_failover.survive,
    ),
    Command(
        name="verify-disks",
        opcode="OP_CLUSTER_VERIFY_DISKS",
        doc="Check the disks of all instances, and activate inactive ones.",
        ended=actions.follow_disk_verification,
    ),
    Command(
        name="repair-disk-sizes",
        opcode="OP_CLUSTER_REPAIR_DISK_SIZES",
        words=(Positional("instances", "instance", 0, None),),
        ended=actions.show_rows,
    ),
    Command(
        name="redist-conf",
        opcode="OP_CLUSTER_REDIST_CONF",
        options=(Option(("--yes-do-it",), "yes_do_it", "Run even if the job queue is drained."),),
    ),
    Command(
        name="modify",
        opcode="OP_CLUSTER_SET_PARAMS",
        options=(*ipolicy_options.CLUSTER_OPTIONS, *STORE),
        flags=SETTINGS,
        without=("ipolicy", *_OS_FIELDS),
        given=settings.cluster_settings,
        run=state_store.modify,
    ),
    Command(
        name="rename",
        opcode="OP_CLUSTER_RENAME",
        words=(Positional("name", "new-name"),),
        confirm="Rename the cluster to {name}?",
    ),
    Command(name="activate-master-ip", opcode="OP_CLUSTER_ACTIVATE_MASTER_IP"),
    Command(
        name="deactivate-master-ip",
        opcode="OP_CLUSTER_DEACTIVATE_MASTER_IP",
        options=(Option(("--yes",), "confirmed", "Do not ask for confirmation."),),
        confirmed_by="confirmed",
        confirm="Remove the cluster's address from the master? Connections to it are closed.",
    ),
    Command(
        name="queue",
        doc="Drain the job queue, undrain it, or show whether it is drained.",
        words=(Positional("what", "what", choices=("drain", "undrain", "info")),),
        options=(FORM,),
        run=actions.queue,
    ),
    Command(
        name="watcher",
        doc="Pause the watcher for a duration such as 30m, let it continue, or show its state.",
        words=(
            Positional("what", "what", choices=("pause", "continue", "info")),
            Positional("duration", "duration", 0),
        ),
        options=(FORM,),
        run=actions.watcher,
    ),
    Command(
        name="history",
        doc="Show who changed the configuration, when, why and by which job. With options about"
        " users, objects, times or denials, the master tells users and tokens of the remote API.",
        options=(
            Option(("--all",), "all", "The moves of jobs, too."),
            Option(("--check",), "check", "Only verify that every commit follows the one before."),
            Option(("-n", "--last"), "last", "Only the last N changes.", COUNT),
            *AUDIT,
            FORM,
        ),
        run=history.history,
    ),
    Command(
        name="watch",
        doc="Print changes of the cluster as they happen.",
        options=(
            Option(("--kind",), "kinds", "Show only events of this kind.", TEXT, many=True),
            Option(("--name",), "names", "Show only events about this object.", TEXT, many=True),
            Option(
                ("--tag",), "tags", "Show only events about objects with this tag.", TEXT, many=True
            ),
            Option(
                ("--since",),
                "since",
                "Start after this event or journal position instead of now.",
                TEXT,
                metavar="ID",
            ),
            Option(("--no-wait",), "no_wait", "Exit when there are no more events."),
            LINES,
        ),
        run=watch.watch,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_CLUSTER)


if __name__ == "__main__":
    main()
