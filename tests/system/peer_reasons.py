# SPDX-License-Identifier: BSD-2-Clause
"""Differences between our remote API and that of Debian's Ganeti, with their reasons.

``python -m tests.system.peer_reasons`` prints ``doc/differences.md`` from this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.golden.cli_differences import tables
from tests.refusals import section
from tests.system.likeness import NOTHING_THERE, Difference
from tests.system.peer_requests import LEFT_OUT


@dataclass(frozen=True)
class Reason:
    """A difference and its reason; in patterns, ``*`` stands for any text, and `` | `` separates
    alternatives."""

    requests: str
    what: str
    theirs: str
    ours: str
    why: str

    def explains(self, difference: Difference) -> bool:
        return all(
            matches(pattern, found)
            for pattern, found in (
                (self.requests, difference.request),
                (self.what, difference.aspect),
                (self.theirs, difference.theirs),
                (self.ours, difference.ours),
            )
        )


def matches(patterns: str, text: str) -> bool:
    """Return whether one of the patterns matches the whole text."""
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
        for pattern in patterns.split(" | ")
    )


BY_KIND: Mapping[str, tuple[Reason, ...]] = {
    "Not supported here": (
        Reason(
            "POST /2/nodes/{node1}/powercycle",
            "error of the job",
            "OpPrereqError wrong_input",
            "OpPrereqError wrong_state",
            (
                "Nodes do not powercycle their own host; use the node's out-of-band helper:"
                " gnt-node power cycle."
            ),
        ),
        Reason(
            "GET /2/info*",
            (
                "field hvparams.chroot | field hvparams.lxc | field hvparams.xen-hvm | field"
                " hvparams.xen-pvm"
            ),
            "{}",
            "–",
            "Only the supported hypervisors have parameters: fake and kvm.",
        ),
    ),
    "Supported here only": (
        Reason(
            "GET / | GET /2",
            "type of the answer",
            "null",
            "list",
            "The API document specifies a list of resources; Ganeti 3 returns null.",
        ),
        Reason(
            "PUT *tags*",
            "field ops[].tags[] (job)",
            "–",
            "*",
            "Tags can be sent in the body, as in the API document, and in the query.",
        ),
        Reason(
            "GET *tags | GET /2/nodes* | GET /2/info | GET /2/instances*",
            "field [] | field tags[] | field [].tags[]",
            "–",
            "tag*",
            "An earlier request added these tags in its body.",
        ),
        Reason(
            "DELETE *tags?tag=tag1&tag=tag2",
            "job",
            "error OpPrereqError unknown_entity",
            "success",
            "An earlier request added these tags in its body, so that they can be removed.",
        ),
        Reason(
            "GET /2/instances*",
            "field custom_osparams | field [].custom_osparams",
            "–",
            "*",
            "The OS parameters of the instance itself, as in Ganeti 3.1.",
        ),
        Reason(
            "GET /2/instances*",
            "field [].name",
            "–",
            "*",
            "List entries have id, as in Ganeti 3, and name, as in the API document.",
        ),
        Reason(
            "POST /2/nodes/*/evacuate*",
            "status",
            "400",
            "200*",
            (
                "Without mode, secondary instances are evacuated, as in the API document; Ganeti"
                " 3 requires mode in the body."
            ),
        ),
        Reason(
            'POST /2/nodes/{node3}/evacuate {"mode": "all"}',
            "job",
            "error OpPrereqError wrong_input",
            "success",
            "One request can evacuate all instances of a node.",
        ),
        Reason(
            'PUT /2/instances/web1/rename {"new_name": "web6", "name_check": false}',
            "job",
            "error OpPrereqError wrong_input",
            "success",
            "Without name_check no address is resolved, and ip_check is skipped; Ganeti requires"
            " ip_check to be disabled explicitly.",
        ),
        Reason(
            "PUT /2/instances/web6/rename*",
            "job",
            "error OpPrereqError unknown_entity",
            "success",
            "An earlier request renamed the instance.",
        ),
        Reason(
            "GET /2/query/os* | GET /2/query/cluster* | GET /2/query/extstorage*",
            "status",
            "500 | 502",
            "200",
            (
                "These kinds can be queried like all others; Ganeti's daemon cannot parse its own"
                " query."
            ),
        ),
        Reason(
            "GET /2/query/filter* | GET /2/query/lock*",
            "value of fields[].kind",
            '"other"',
            '*"text"*',
            "Columns with text and numbers are declared as such.",
        ),
        Reason(
            "PUT /2/instances/web1/migrate* | PUT /2/instances/web1/failover*",
            "type of opresult[] (job)",
            "null",
            "object",
            "The result of a migration has the node of the guest, and the downtime.",
        ),
        Reason(
            "GET /2/query/node?fields=name",
            "status",
            "403",
            "200",
            "Every user may query; Ganeti requires the option read or write.",
        ),
        Reason(
            "GET /2/jobs/1/wait*",
            "status",
            "401",
            "200",
            (
                "Waiting for a job changes nothing, so that it requires no authentication (unless"
                " the daemon is configured to)."
            ),
        ),
        Reason(
            "GET /2/instances/web1/info*",
            "status",
            "200*",
            "401",
            (
                "Requests that submit a job require authentication, as each job is stored."
                " Concurrent equal requests share a job."
            ),
        ),
        Reason(
            "GET /2/jobs/1/wait",
            "status",
            "500",
            "200",
            "Without a body, the request waits for a change of the status.",
        ),
        Reason(
            "DELETE /2/jobs/{running}*",
            "value of []",
            "*",
            "*",
            "A running job is canceled at its next step that can be rolled back; Ganeti does not"
            " cancel it.",
        ),
        Reason(
            "POST /2/filters",
            "status",
            "400",
            "200",
            "Without a body, the job filter has the defaults, as with an empty object.",
        ),
    ),
    "Wrong input is rejected": (
        Reason(
            "*",
            "status",
            "501",
            "405",
            (
                "A method that a known path does not support is answered with 405, and the header"
                " Allow lists the supported ones."
            ),
        ),
        Reason(
            "*?nonsense=1",
            "status",
            "*",
            "400",
            (
                "An unknown parameter in the query is rejected, so that clients do not assume"
                " that it had an effect; Ganeti ignores it."
            ),
        ),
        Reason(
            '* {"nonsense": 1}',
            "status",
            "200*",
            "400",
            (
                "An unknown parameter in the body is rejected; Ganeti does not read the bodies of"
                " some requests."
            ),
        ),
        Reason(
            "* 17 | * [[[* | * {",
            "status",
            "200* | 500 | no answer",
            "400",
            "A body that is not an object is rejected, even if the request uses no body.",
        ),
        Reason(
            'GET /2/info {"some": "body"}',
            "status",
            "200",
            "400",
            "A body is rejected if the request uses none.",
        ),
        Reason(
            "GET /2/groups?bulk=1&bulk=0 | *?force=1&force=0",
            "status",
            "200*",
            "400",
            "A parameter that is given twice is rejected; Ganeti uses one of the values.",
        ),
        Reason(
            "GET *?bulk=* | GET *?static=* | * /2/*=x | * /2/*=no | * /2/*=yes | * /2/*=ja",
            "status",
            "200*",
            "400",
            "Flags are 0 or 1, as in the API document; Ganeti accepts every whole number.",
        ),
        Reason(
            "GET /2/*lock=1",
            "status",
            "500",
            "400",
            (
                "Queries cannot lock in both; here this is an error of the client, not of the"
                " server."
            ),
        ),
        Reason(
            "PUT /2/tags (without a tag)",
            "status",
            "200 success",
            "400",
            "A request that adds no tags is rejected.",
        ),
        Reason(
            'PUT /2/instances/web1/tags {"tag": "one"} | PUT /2/instances/web1/tags [1]',
            "status",
            "200 success",
            "400",
            "A body that is not a list of tags is rejected; Ganeti does not read it.",
        ),
        Reason(
            "DELETE *tags",
            "status",
            "200*",
            "400",
            "A request that removes no tags is rejected.",
        ),
        Reason(
            "POST /2/instances*",
            "status",
            "502",
            "400 | 200 error OpPrereqError wrong_input",
            (
                "Errors of type and range name the path and the parameter; Ganeti reports a"
                " failure between its daemons."
            ),
        ),
        Reason(
            "PUT /2/query/node*",
            "status",
            "500 | 502",
            "400",
            "An invalid query is an error of the client, not of the server.",
        ),
        Reason(
            'PUT /2/query/instance {"fields": ["name"], "qfilter": ["=~", "name", "(?=web)"]}',
            "status",
            "200",
            "400",
            (
                "Regular expressions are matched in linear time by RE2, without backreferences"
                " and lookaround; Ganeti's matching backtracks, so that one request can block all"
                " others."
            ),
        ),
        Reason(
            "POST /2/filters {* | PUT /2/filters/* {*",
            "status",
            "500 | 502",
            "400",
            "An invalid job filter is an error of the client, not of the server.",
        ),
        Reason(
            'POST /2/filters {"predicates": [["jobid", ["=", "colour", 1]]]}',
            "status",
            "200",
            "400",
            "A job filter with an unknown field is rejected; Ganeti accepts it.",
        ),
        Reason(
            "GET /2/query/nosuch*",
            "status",
            "502",
            "404",
            "An unknown kind is not found.",
        ),
        Reason(
            'PUT /2/instances/web1/startup {"depends": [[999999, ["success"]]]}',
            "status",
            "200 error OpExecError",
            "400",
            (
                "A job that depends on an unknown job is rejected; Ganeti accepts it, and the job"
                " fails."
            ),
        ),
        Reason(
            'PUT /2/instances/web1/startup {"depends": [[-1, ["success"]]]}',
            "status",
            "200*",
            "400",
            (
                "A relative job ID counts back within its request only, and larger offsets are"
                " rejected; Ganeti uses the job submitted before, which can belong to another"
                " client."
            ),
        ),
        Reason(
            'PUT /2/networks/lan/modify {"add_reserved_ips": ["192.0.2.7"]}',
            "job",
            "success",
            "error OpPrereqError wrong_input",
            (
                "An address outside the network cannot be reserved; Ganeti logs a warning, and"
                " the job succeeds."
            ),
        ),
        Reason(
            "PUT /2/modify {}",
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "A request that changes nothing is rejected, as for instances, nodes and groups.",
        ),
        Reason(
            "PUT *tags*",
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "These tags were sent in the body, which Ganeti does not read.",
        ),
        Reason(
            'POST /2/instances*"snode": "{node1}"*',
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "A secondary node for disks that are not mirrored is rejected; Ganeti ignores it.",
        ),
        Reason(
            'POST /2/instances*"size": 1000000*',
            "job",
            "success",
            "error OpPrereqError insufficient_resources",
            (
                "A disk that is larger than the free space is rejected; Ganeti creates a sparse"
                " file, which fails when it fills up."
            ),
        ),
    ),
    "Other errors for unknown objects and impossible requests": (
        Reason(
            "GET /2/jobs/999999",
            "status",
            "200",
            "404",
            (
                "An unknown job is not found, as in the API document; Ganeti 3 returns an object"
                " with nulls."
            ),
        ),
        Reason(
            "DELETE /2/jobs/999999",
            "status",
            "200",
            "404",
            "An unknown job is not found; Ganeti answers that it could not be canceled.",
        ),
        Reason(
            "GET /2/*",
            "status",
            "500",
            "404",
            "An unknown object is not found; Ganeti answers 500.",
        ),
        Reason(
            "DELETE /2/filters/*",
            "status",
            "500",
            "404",
            "An unknown job filter is not found; Ganeti answers 500.",
        ),
        Reason(
            (
                "POST /2/instances-multi-alloc*(both are there) |"
                " POST /2/instances-multi-alloc*gentoo*"
            ),
            "job",
            "success",
            "error OpPrereqError already_exists | error OpPrereqError unknown_entity",
            (
                "If one of several instances cannot be created, none is; Ganeti submits jobs that"
                " fail."
            ),
        ),
        Reason(
            'POST /2/instances-multi-alloc*"iallocator": "nosuch"}',
            "error of the job",
            "OpExecError",
            "OpPrereqError unknown_entity",
            "An unknown allocator is reported before anything is changed.",
        ),
        Reason(
            "POST /2/instances/web1/reinstall?os=gentoo*",
            "status",
            "200 error OpExecError",
            "400",
            "An unknown OS definition is reported before the instance is stopped.",
        ),
        Reason(
            "POST *replace-disks*",
            "error of the job",
            "OpPrereqError internal_error",
            "OpPrereqError wrong_input",
            "Disks that are not mirrored are an error of the request, not of the server.",
        ),
        Reason(
            "*",
            "error of the job",
            "TypeEnforcementError",
            "OpPrereqError wrong_input",
            (
                "An unknown parameter has the error class of all other wrong input, and an error"
                " code."
            ),
        ),
        Reason(
            'PUT /2/instances/web1/modify {"disks": [["remove", 9, {}]]}',
            "error of the job",
            "OpPrereqError wrong_state",
            "OpPrereqError unknown_entity",
            "The unknown disk is reported before the state of the instance.",
        ),
        Reason(
            "PUT /2/instances/web1/failover*",
            "error of the job",
            "OpPrereqError wrong_state",
            "OpPrereqError wrong_input",
            "The current node of the instance is not a valid target in any state.",
        ),
        Reason(
            "POST /2/nodes/{node1}/modify* | PUT /2/nodes/{node1}/role*",
            "error of the job",
            "OpPrereqError wrong_input",
            "OpPrereqError wrong_state",
            (
                "The role of the master cannot be changed while it is the master; the request"
                " itself is valid."
            ),
        ),
        Reason(
            "POST /2/instances/web1/recreate-disks {}",
            "error of the job",
            "OpExecError",
            "OpPrereqError already_exists",
            "Existing disks are reported before anything is changed.",
        ),
        Reason(
            'POST /2/nodes/{node2}/evacuate {"mode": "primary-only"*',
            "error of the job",
            "OpExecError",
            "OpPrereqError insufficient_resources",
            (
                "Missing room for an instance is reported before anything is changed, with an"
                " error code."
            ),
        ),
        Reason(
            'POST /2/instances*"os": "gentoo"*',
            "error of the job",
            "OpExecError",
            "OpPrereqError unknown_entity",
            (
                "An unknown OS definition is reported before anything is changed, with an error"
                " code."
            ),
        ),
        Reason(
            "DELETE /2/jobs/*",
            "value of []",
            '"*',
            '"*',
            "The message has the same meaning in other words.",
        ),
    ),
    "HTTP": (
        Reason(
            "*",
            "header connection",
            "close",
            "–",
            "Connections are kept open, so that the next request needs no TLS handshake.",
        ),
        Reason(
            "HEAD *",
            "status",
            "501",
            "200",
            "HEAD is answered as HTTP has it.",
        ),
        Reason(
            "OPTIONS *",
            "status",
            "501",
            "204",
            "OPTIONS is answered as HTTP specifies, with the methods in Allow.",
        ),
        Reason(
            "get *",
            "status",
            "200",
            "405",
            "Methods are case-sensitive, as HTTP specifies.",
        ),
        Reason(
            "GET /2/instances/we%62%31",
            "status",
            "404",
            "200",
            "Names in paths may be percent-encoded.",
        ),
        Reason(
            "*(charset)",
            "status",
            "415",
            "200",
            "The content type may name a charset.",
        ),
        Reason(
            "PUT /2/query/node \\xff\\xfe (no UTF-8)",
            "status",
            "no answer",
            "400",
            "Bytes that are not UTF-8 are rejected; Ganeti closes the connection.",
        ),
        Reason(
            "GET /version?x*",
            "status",
            "no answer",
            "400",
            "Long paths are accepted, and the unknown parameter is rejected; Ganeti closes the"
            " connection.",
        ),
        Reason(
            "GET /version (a header of 5000 bytes)",
            "status",
            "no answer",
            "200",
            "Headers of this length are accepted; Ganeti closes the connection.",
        ),
    ),
    "Opcodes in jobs": (
        Reason(
            "*",
            "field ops[].dry_run*",
            "–",
            "false",
            "Every opcode has dry_run; in Ganeti only where the resource accepts dry-run.",
        ),
        Reason(
            "*",
            "field ops[].debug_level*",
            "–",
            "0",
            "Every opcode has debug_level; in Ganeti not in all jobs of several opcodes.",
        ),
        Reason(
            "*",
            "field ops[].*_uuid (job) | field ops[].*_uuids (job)",
            "*",
            "–",
            "Opcodes are shown as requested, with names; Ganeti adds the UUIDs that it found.",
        ),
        Reason(
            "*",
            "field ops[].beparams.* (job)",
            "* | –",
            "* | –",
            (
                "Backend parameters are shown as requested; Ganeti replaces memory with minmem"
                " and maxmem, and removes those that it has applied."
            ),
        ),
        Reason(
            "* /2/instances*",
            (
                "field ops[].osparams* (job) | field ops[].helper_* (job) | field"
                " ops[].file_driver (job) | field ops[].admin_state_source (job) | field"
                " ops[].iallocator (job) | field ops[].pnode (job)"
            ),
            "*",
            "–",
            "Opcodes are shown as requested; Ganeti adds values that its checks set.",
        ),
        Reason(
            "* /2/instances*",
            (
                "value of ops[].iallocator (job) | value of ops[].src_path (job) | value of"
                " ops[].force_variant (job)"
            ),
            "*",
            "*",
            "Opcodes are shown as requested; Ganeti shows the values that its checks changed.",
        ),
        Reason(
            "POST /2/instances-multi-alloc*",
            (
                "field ops[].instances[].* (job) | type of ops[].instances[].comment (job) |"
                " value of ops[].instances[].pnode (job)"
            ),
            "*",
            "*",
            (
                "Several instances are shown as requested, and stay on the nodes that are given;"
                " Ganeti shows the values that its checks and the allocator set."
            ),
        ),
        Reason(
            "PUT /2/instances/web1/modify*",
            "* ops[].nics* (job) | * ops[].disks* (job)",
            "*",
            "*",
            (
                "Changes of network cards and disks are shown as requested; Ganeti shows them"
                " with the values that it set."
            ),
        ),
        Reason(
            "GET /2/instances/*/info",
            "value of ops[].use_locking (job)",
            "true",
            "false",
            "Queries never lock.",
        ),
        Reason(
            'PUT /2/nodes/{node3}/role?force=1 "regular"',
            "field ops[].drained (job) | value of ops[].master_candidate (job)",
            "– | true",
            "false",
            (
                "A node with the role regular keeps it; Ganeti makes it a master candidate if the"
                " pool is not full."
            ),
        ),
        Reason(
            "POST /2/nodes/{node1}/migrate?live=1",
            "field ops[].live (job) | field ops[].mode (job)",
            "– | live",
            "true | –",
            "Opcodes are shown as requested: live, and not the mode that replaces it.",
        ),
    ),
    "Results of jobs": (
        Reason(
            "POST /2/instances?dry-run=1*",
            "value of opresult[][] (job)",
            '"<uuid>"',
            '"{node*}"',
            (
                "A dry run of a creation returns names of nodes, as the creation does, and as in"
                " the API document."
            ),
        ),
        Reason(
            "POST /2/instances-multi-alloc?dry-run=1*",
            "field opresult[].nodes (job) | field opresult[].reasons (job)",
            "–",
            "{}",
            "A dry run returns the node of each instance, and why others cannot be placed.",
        ),
        Reason(
            "PUT /2/tags?tag=ruled (rejected)",
            "type of opresult[] (job)",
            "null",
            "text",
            "The result of a job that a job filter rejects names the filter.",
        ),
        Reason(
            "PUT /2/nodes/{node3}/role*",
            "value of opresult[][][] (job) | field opresult[][] (job)",
            "*",
            "*",
            "Ganeti made the node a master candidate when it got the role regular; see above.",
        ),
        Reason(
            "POST /2/nodes/{node3}/modify* | PUT /2/groups/racks/modify*",
            "field opresult[][] (job)",
            "–",
            "[]",
            "All changes are returned; Ganeti omits parameters of nodes and groups.",
        ),
        Reason(
            "PUT /2/instances/web1/modify*",
            "value of opresult[][][] (job)",
            "*",
            "*",
            (
                "Changes are returned as requested; Ganeti adds the values that it set, and calls"
                " a card that is removed NIC/2 and others nic.2."
            ),
        ),
        Reason(
            "GET /2/instances/*/info*",
            "field opresult[].*.hv_actual.migration_mode (job)",
            "–",
            "live",
            "The cluster's own parameters that apply to the guest are shown with it.",
        ),
    ),
    "Values": (
        Reason(
            "*",
            "type of *cpu_speed | type of *ipolicy.*-ratio",
            "integer",
            "number",
            "Values that can have fractions are written as such; JSON does not distinguish 1 from"
            " 1.0.",
        ),
        Reason(
            "GET /2/info*",
            "field hvparams.kvm.kvm_accel | field hvparams.kvm.kvm_firmware"
            " | field hvparams.kvm.kvm_forward_ports | field hvparams.kvm.kvm_net"
            " | field hvparams.kvm.kvm_tpm",
            "–",
            "*",
            "Guests are executed in software if KVM is not available, and can have UEFI firmware,"
            " a TPM and a user-mode network.",
        ),
        Reason(
            "GET /2/info*",
            "field beparams.default.memory",
            "–",
            "*",
            "The memory of guests also has its name of the API document.",
        ),
        Reason(
            "GET /2/info*",
            "value of diskparams.drbd.metavg",
            '"xenvg"',
            '""',
            "By default, metadata are in the volume group of the data.",
        ),
        Reason(
            "GET /2/info*",
            "value of compression_tools[] | field compression_tools[]",
            "*",
            "*",
            "Data between nodes are sent uncompressed over TLS.",
        ),
        Reason(
            "GET /2/info*",
            "value of hvparams.kvm.kernel_path",
            '"/boot/vmlinuz-3-kvmU"',
            '""',
            "The quick start sets no kernel, so that guests boot from their disks.",
        ),
        Reason(
            "GET /2/info*",
            "value of default_iallocator",
            '"hail"',
            '""',
            "Placement is built in; an allocator is used only if one is set.",
        ),
        Reason(
            "GET /2/info*",
            "value of modify_ssh_setup",
            "true",
            "false",
            "Nodes join by a token and certificates; SSH keys are not changed.",
        ),
        Reason(
            "GET /2/query/export*",
            "type of data[][][]",
            "integer or null or text",
            "integer or text",
            "A node without exports has no row; Ganeti has a row with null.",
        ),
        Reason(
            "GET /2/instances/web1*",
            "value of custom_nicparams[].link | field custom_nicparams[].vlan",
            "*",
            "*",
            (
                "A change of a card's address keeps the cluster's defaults for its other"
                " parameters; Ganeti stores all of them in the card."
            ),
        ),
    ),
    "Different setup of the two clusters": (
        Reason(
            "GET /2/info*",
            "value of enabled_disk_templates[]",
            "*",
            "*",
            "The quick start enables more disk templates.",
        ),
        Reason(
            "GET *",
            "value of *ipolicy.*",
            "*",
            "*",
            "The policy was set when the cluster was created.",
        ),
        Reason(
            "GET /2/info* | GET /2/os",
            "value of [] | type of vg_name | type of volume_group_name",
            "*",
            "*",
            "The quick start has an additional OS definition, and simulates a volume group.",
        ),
        Reason(
            "GET /2/info*",
            "type of drbd_helper | type of drbd_usermode_helper",
            "null",
            "text",
            "The quick start enables DRBD disks, which need a usermode helper.",
        ),
        Reason(
            "*",
            "value of opresult[][][] (job) | value of opresult[].*.disks[].pstatus[] (job)",
            "*/srv/*",
            "*/srv/*",
            "Paths are below the root directory of the node.",
        ),
    ),
}
"""The reasons, by kind of difference."""

REASONS = tuple(reason for reasons in BY_KIND.values() for reason in reasons)

PACKAGE = "3.0.2-3"
"""The version of Debian's packages that the requests were sent to."""

HEAD = f"""\
# Differences from Ganeti's remote API

The same requests were sent to the remote API of this version and to that of Debian's packages of
Ganeti ({PACKAGE}): all methods of the API document, with and without bulk, the resources of later
versions, jobs until they finished, and wrong input of all kinds. Each cluster had three nodes, the
hypervisor *fake*, and disks in files and shared files. Statuses, headers, fields with their types
and values, results of jobs, and error classes were compared; messages, times, UUIDs and properties
of the hosts were not. Everything that is not in these tables was equal.

In the tables `*` stands for any text, and – for something that only the other side has; `(job)` is
a finished job as `/2/jobs/N` returns it.

    python -m tests.system.peer_answers --ours URL --theirs URL …

repeats the comparison (see `--help`), and exits with 1 if it finds a difference that is not listed
here, or if a listed difference no longer exists. This page is generated from its data:

    python -m tests.system.peer_reasons > doc/differences.md
"""


def page() -> str:
    """Return the page, for operators."""
    parts = [HEAD]
    for kind, reasons in BY_KIND.items():
        lines = ["| request | what | Ganeti | here | why |", "|---|---|---|---|---|"]
        parts += [f"## {kind}\n", *lines, *map(_line, reasons), ""]
    parts += section()
    parts += ["## Not compared\n", *(f"* {what}: {why}" for what, why in LEFT_OUT.items()), ""]
    parts += ["# Differences from Ganeti's command-line tools\n", *tables()]
    return "\n".join(parts)


def _line(reason: Reason) -> str:
    matched = (reason.requests, reason.what, reason.theirs, reason.ours)
    return f"| {' | '.join((*map(_cell, matched), reason.why))} |"


def _cell(patterns: str) -> str:
    if patterns in ("*", NOTHING_THERE):
        return {"*": "any"}.get(patterns, patterns)
    return ", ".join(f"`{each.replace('|', chr(92) + '|')}`" for each in patterns.split(" | "))


if __name__ == "__main__":
    print(page(), end="")
