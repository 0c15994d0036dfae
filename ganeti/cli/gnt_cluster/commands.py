# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster``: the cluster as a whole, from its founding to its end."""

from __future__ import annotations

from ganeti.cli import ipolicy_options
from ganeti.cli.command import DRY_RUN, FORCE, READS, URGENCY, Command, CommandGroup, tool
from ganeti.cli.gnt_cluster import actions, audit, epo, run_on_nodes, watch
from ganeti.cli.listing import FORM, ROMAN
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
    WHOLE_SECONDS,
    Option,
    choice,
    unsupported,
)
from ganeti.cli.program import run_tool
from ganeti.cli.tags import search, tag_commands

YES_DO_IT = Option(("--yes-do-it", "--ya-rly"), "yes_do_it", "Really do so.")

NODE_PORT = Option(("--node-port",), "node_port", "Where the node daemons listen.", PORT)
SOME_NODES = (
    NODE_PORT,
    Option(("-n", "--node"), "nodes", "Only this node.", TEXT, many=True, metavar="NODE"),
    Option(("-g", "--node-group"), "group", "Only nodes of this group.", TEXT, metavar="GROUP"),
)
SETTINGS = (
    Option(("--add-uids",), "add_uids", "", RANGES),
    Option(("--remove-uids",), "remove_uids", "", RANGES),
    Option(("--uid-pool",), "uid_pool", "", RANGES),
    Option(("--master-netmask",), "master_netmask", "", INT),
    Option(("-H", "--hypervisor-parameters"), "hvparams", "", IDENTKEYVAL, many=True),
    Option(("-B", "--backend-parameters"), "beparams", "", KEYVAL),
    Option(("--data-collector-interval",), "data_collector_interval", "", KEYVAL),
    Option(("--enabled-data-collectors",), "enabled_data_collectors", "", KEYVAL),
)
_OF_OS_DEFINITIONS = (
    *("os_hvp", "osparams", "osparams_private_cluster", "hidden_os", "blacklisted_os"),
)

_NO_SSH = "nodes are reached through their daemons only, never by ssh"
_NO_SPICE = "consoles are not served by SPICE"
NO_CRYPTO = (
    unsupported("--new-confd-hmac-key", "there is no confd daemon"),
    unsupported("--new-spice-certificate", _NO_SPICE),
    unsupported("--spice-certificate", _NO_SPICE, TEXT),
    unsupported("--spice-ca-certificate", _NO_SPICE, TEXT),
    unsupported("--new-ssh-keys", _NO_SSH),
    unsupported("--ssh-key-type", _NO_SSH, choice(("dsa", "ecdsa", "rsa"))),
    unsupported("--ssh-key-bits", _NO_SSH, INT),
    Option(("--no-ssh-key-check",), "no_ssh_key_check", "Accepted; ssh is not used."),
)


def _own(flags: str, name: str, doc: str, *kind: object, **more: object) -> Option:
    return Option(tuple(flags.split()), name, doc, *kind, **more)  # type: ignore[arg-type]


INIT = (
    _own(
        "--master-address",
        "master_address",
        "The cluster's own address, which moves with the master; by default that of its name.",
        ADDRESS,
    ),
    _own(
        "--primary-ip",
        "primary_ip",
        "The address of this node; by default that of its name.",
        ADDRESS,
    ),
    _own(
        "-s --secondary-ip",
        "secondary_ip",
        "This node's address for the traffic of mirrored disks.",
        ADDRESS,
    ),
    _own("--primary-ip-version", "primary_ip_version", "4 or 6.", choice("46")),
    _own(
        "--enabled-hypervisors",
        "hypervisors",
        "The hypervisors that may be used, the default one first.",
        LIST,
    ),
    _own(
        "--enabled-disk-templates",
        "templates",
        "The disk templates that may be used, the default one first.",
        LIST,
    ),
    _own("-B --backend-parameters", "beparams", "Backend parameters of all instances.", KEYVAL),
    _own(
        "-H --hypervisor-parameters",
        "hvparams",
        "Hypervisor parameters, by hypervisor.",
        IDENTKEYVAL,
        many=True,
    ),
    _own("-N --nic-parameters", "nicparams", "The defaults of network cards.", KEYVAL),
    _own("--node-parameters", "ndparams", "Node parameters.", KEYVAL),
    _own(
        "-D --disk-parameters",
        "diskparams",
        "Disk parameters, by disk template.",
        IDENTKEYVAL,
        many=True,
    ),
    _own(
        "--hypervisor-state",
        "hv_state",
        "What each hypervisor itself uses on a node.",
        IDENTKEYVAL,
        many=True,
    ),
    _own(
        "--disk-state",
        "disk_state",
        "What is reserved of each storage, as KIND/NAME.",
        IDENTKEYVAL,
        many=True,
    ),
    *ipolicy_options.OF_CLUSTERS,
    *ipolicy_options.SPECS.values(),
    _own(
        "-C --candidate-pool-size",
        "candidate_pool_size",
        "How many nodes keep a copy of the configuration.",
        INT,
    ),
    _own("--compression-tools", "compression_tools", "The compression tools there are.", LIST),
    _own(
        "-I --default-iallocator",
        "default_iallocator",
        "The allocator where none is named.",
        TEXT,
        metavar="NAME",
    ),
    _own(
        "--default-iallocator-params",
        "default_iallocator_params",
        "Parameters for the default allocator.",
        KEYVAL,
    ),
    _own(
        "--drbd-usermode-helper",
        "drbd_helper",
        "The helper program of DRBD.",
        TEXT,
        metavar="PROGRAM",
    ),
    _own("--file-storage-dir", "file_storage_dir", "Folder for file disks.", TEXT, metavar="DIR"),
    _own(
        "--shared-file-storage-dir",
        "shared_file_storage_dir",
        "Folder for shared file disks.",
        TEXT,
        metavar="DIR",
    ),
    _own(
        "--gluster-storage-dir",
        "gluster_storage_dir",
        "Folder for disks on Gluster.",
        TEXT,
        metavar="DIR",
    ),
    _own("--install-image", "install_image", "The image that safe installations run from.", TEXT),
    _own("--zeroing-image", "zeroing_image", "The image that zeroes free space.", TEXT),
    _own(
        "-m --mac-prefix",
        "mac_prefix",
        "The first three bytes of MAC addresses; by default chosen at random.",
        TEXT,
        metavar="PREFIX",
    ),
    _own("--maintain-node-health", "maintain_node_health", "Stop what runs by mistake.", BOOL),
    _own(
        "--master-netdev",
        "master_netdev",
        "The device of the cluster's address; by default that of this node's address.",
        TEXT,
    ),
    _own("--master-netmask", "master_netmask", "The netmask of that address, in bits.", INT),
    _own(
        "--no-etc-hosts",
        "modify_etc_hosts",
        "Do not write to /etc/hosts; the default here, and accepted for scripts that say it.",
        sets=False,
    ),
    _own(
        "--no-ssh-init",
        "modify_ssh_setup",
        "Do not set up ssh; the default here, and accepted for scripts that say it.",
        sets=False,
    ),
    _own("--prealloc-wipe-disks", "prealloc_wipe_disks", "Wipe new disks before use.", BOOL),
    _own("--ssh-key-bits", "ssh_key_bits", "The length of ssh keys.", INT),
    _own(
        "--ssh-key-type", "ssh_key_type", "The kind of ssh keys.", choice(("dsa", "ecdsa", "rsa"))
    ),
    _own("--uid-pool", "uid_pool", "User ids for guests.", RANGES),
    _own(
        "--use-external-mip-script",
        "use_external_mip_script",
        "Set up the master's address by a script of the administrator.",
        BOOL,
    ),
    _own("--user-shutdown", "enabled_user_shutdown", "Let users stop their instances.", BOOL),
    _own("--vg-name", "vg_name", "The volume group for logical volumes.", TEXT, metavar="VG"),
)

GNT_CLUSTER = tool(
    "gnt-cluster",
    "Founds, configures, verifies and ends the cluster.",
    tag_commands("cluster"),
    Command(
        name="search-tags",
        doc="Find the tags of all objects that match a regular expression.",
        words=(CommandGroup("pattern", "pattern"),),
        options=(FORM,),
        submits=True,
        job_options=READS,
        run=search,
    ),
    Command(
        name="init",
        doc="Make this node the first of a new cluster, and its master.",
        words=(CommandGroup("cluster", "cluster-name"),),
        options=INIT,
        run=actions.init,
    ),
    Command(
        name="destroy",
        doc="End the cluster, of which only the master may be left.",
        options=(YES_DO_IT,),
        submits=True,
        job_options=(DRY_RUN, URGENCY),
        run=actions.destroy,
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
        doc="Show the command that makes a cluster with the sizes of this one's instance policy.",
        run=actions.show_specs,
    ),
    Command(
        name="version",
        doc="Show the versions of everything.",
        options=(FORM,),
        run=actions.version,
    ),
    Command(name="getmaster", doc="Show the name of the master.", run=actions.getmaster),
    Command(
        name="epo",
        doc="Emergency power off: stop instances and switch nodes off; --on brings all back.",
        words=(CommandGroup("names", "node|group", 0, None),),
        options=(
            Option(("--all",), "all", "All nodes but the master, with all instances."),
            Option(("--groups",), "groups", "The words are node groups."),
            Option(("--on",), "on", "Switch nodes on, and start what should run on them."),
            FORCE,
            Option(
                ("--oob-timeout",),
                "oob_timeout",
                "How long a helper may take, in seconds.",
                WHOLE_SECONDS,
            ),
            Option(("--power-delay",), "power_delay", "Seconds between two nodes.", SECONDS),
            Option(
                ("--shutdown-timeout",),
                "shutdown_timeout",
                "How long a guest may take to shut down, in seconds.",
                WHOLE_SECONDS,
            ),
            NODE_PORT,
        ),
        run=epo.epo,
    ),
    Command(
        name="command",
        doc="Run a command line on all nodes, or some, and show what it writes and its exit code.",
        words=(CommandGroup("command", "command", 1, None),),
        options=(
            *SOME_NODES,
            Option(("-M", "--show-machine-names"), "named", "Begin each line with the node."),
            Option(("--failure-only",), "failure_only", "Show only nodes where it fails."),
        ),
        mixed=False,
        run=run_on_nodes.command,
    ),
    Command(
        name="copyfile",
        doc="Copy a file of the master to the same place on all other nodes, or some.",
        words=(CommandGroup("file", "file"),),
        options=(
            *SOME_NODES,
            Option(
                ("--use-replication-network",),
                "replication",
                "Send it to the secondary addresses of the nodes.",
            ),
        ),
        run=run_on_nodes.copyfile,
    ),
    Command(
        name="master-failover",
        aliases=("masterfailover",),
        doc="Make this node, a master candidate, the master instead of another one.",
        options=(
            Option(
                ("--no-voting",),
                "no_voting",
                "Do so although most nodes do not answer.",
            ),
            Option(
                ("--accept-loss",),
                "accept_loss",
                "Do so although acknowledged changes may be missing on this node.",
            ),
            NODE_PORT,
            Option(
                ("--ignore-offline-nodes",),
                "ignore_offline_nodes",
                "Accepted for scripts that say it: nodes that are marked offline never vote.",
            ),
            YES_DO_IT,
        ),
        run=actions.failover,
    ),
    Command(
        name="upgrade",
        doc="Say how this software is upgraded: by the packages of each host.",
        options=(
            Option(("--to",), "to", "The version wanted.", TEXT, metavar="VERSION"),
            Option(("--resume",), "resume", "Go on with an upgrade that was interrupted."),
        ),
        run=actions.upgrade,
    ),
    Command(
        name="confirm-down",
        doc="Let the master go on without the votes of nodes that are certainly down.",
        words=(CommandGroup("names", "node", 1, None),),
        options=(YES_DO_IT,),
        run=actions.confirm_down,
    ),
    Command(
        name="renew-crypto",
        doc="Make new keys and certificates; users of the remote API may have to be told.",
        options=(
            Option(
                ("--new-cluster-certificate",),
                "new_cluster_certificate",
                "A new certificate authority for the cluster, and new keys and certificates for all"
                " nodes and the remote API; also completes a replacement that was interrupted.",
            ),
            Option(
                ("--new-node-certificates",),
                "new_node_certificates",
                "New keys and certificates for all nodes.",
            ),
            Option(
                ("--new-rapi-certificate",),
                "new_rapi_certificate",
                "A new key and certificate for the remote API.",
            ),
            Option(
                ("--rapi-certificate",),
                "rapi_certificate",
                "Let the remote API use the key and certificate in this file.",
                TEXT,
                metavar="FILE",
            ),
            Option(
                ("--new-cluster-domain-secret",),
                "new_domain_secret",
                "A new secret for moves between clusters.",
            ),
            Option(
                ("--cluster-domain-secret",),
                "domain_secret",
                "Use the secret in this file for moves between clusters.",
                TEXT,
                metavar="FILE",
            ),
            Option(("-f", "--force"), "force", "Do not ask."),
            Option(("-v", "--verbose"), "verbose", "Accepted; the job's log has everything."),
            *NO_CRYPTO,
        ),
        submits=True,
        confirm="Make new keys and certificates?",
        run=actions.renew,
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
                "Leave out whether instances find memory elsewhere if a node fails.",
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
        ended=actions.verified,
    ),
    Command(
        name="verify-disks",
        opcode="OP_CLUSTER_VERIFY_DISKS",
        doc="Check the disks of all instances, and activate those that are not.",
        ended=actions.disks_verified,
    ),
    Command(
        name="repair-disk-sizes",
        opcode="OP_CLUSTER_REPAIR_DISK_SIZES",
        words=(CommandGroup("instances", "instance", 0, None),),
        ended=actions.show_rows,
    ),
    Command(
        name="redist-conf",
        opcode="OP_CLUSTER_REDIST_CONF",
        options=(Option(("--yes-do-it",), "yes_do_it", "Even if the queue is closed."),),
    ),
    Command(
        name="modify",
        opcode="OP_CLUSTER_SET_PARAMS",
        options=ipolicy_options.OF_CLUSTERS,
        flags=SETTINGS,
        without=("ipolicy", *_OF_OS_DEFINITIONS),
        given=actions.cluster_settings,
    ),
    Command(
        name="rename",
        opcode="OP_CLUSTER_RENAME",
        words=(CommandGroup("name", "new-name"),),
        confirm="Rename the cluster to {name}?",
    ),
    Command(name="activate-master-ip", opcode="OP_CLUSTER_ACTIVATE_MASTER_IP"),
    Command(
        name="deactivate-master-ip",
        opcode="OP_CLUSTER_DEACTIVATE_MASTER_IP",
        options=(Option(("--yes",), "confirmed", "Do not ask for confirmation."),),
        confirmed_by="confirmed",
        confirm="Take down the master's address? Connections to it end.",
    ),
    Command(
        name="queue",
        doc="Close the job queue to users, open it again, or tell which it is.",
        words=(CommandGroup("what", "what", choices=("drain", "undrain", "info")),),
        options=(FORM,),
        run=actions.queue,
    ),
    Command(
        name="watcher",
        doc="Keep the watcher from acting for a time such as 30m, let it act again, or tell.",
        words=(
            CommandGroup("what", "what", choices=("pause", "continue", "info")),
            CommandGroup("duration", "duration", 0),
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
            *audit.OPTIONS,
            FORM,
        ),
        run=actions.history,
    ),
    Command(
        name="watch",
        doc="Print what changes on the cluster as it happens.",
        options=(
            Option(("--kind",), "kinds", "Only events of this kind.", TEXT, many=True),
            Option(("--name",), "names", "Only events about this object.", TEXT, many=True),
            Option(("--tag",), "tags", "Only events about objects with this tag.", TEXT, many=True),
            Option(
                ("--since",),
                "since",
                "Begin after this event, or position of the journal, instead of now.",
                TEXT,
                metavar="ID",
            ),
            Option(("--no-wait",), "no_wait", "End when there are no more events."),
            FORM,
        ),
        run=watch.watch,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_CLUSTER)


if __name__ == "__main__":
    main()
