# SPDX-License-Identifier: BSD-2-Clause
"""Why our remote API answers differently from Debian's Ganeti, difference by difference.

``python -m tests.system.peer_reasons`` prints ``doc/differences.md``, which is made of this.
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
    """Why something differs: in what is matched, ``*`` is anything, and `` | `` divides choices."""

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
    """Whether one of the patterns is all of the text."""
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
        for pattern in patterns.split(" | ")
    )


BY_KIND: Mapping[str, tuple[Reason, ...]] = {
    "What is not there": (
        Reason(
            "POST /2/nodes/{node1}/powercycle",
            "error of the job",
            "OpPrereqError wrong_input",
            "OpPrereqError wrong_state",
            (
                "A node does not restart its own host; its out-of-band helper does, by gnt-node"
                " power cycle."
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
            "Only hypervisors that there are have parameters: fake and kvm.",
        ),
    ),
    "What is done here, and not there": (
        Reason(
            "GET / | GET /2",
            "type of the answer",
            "null",
            "list",
            "The API document wants the list of resources; Ganeti 3 answers null.",
        ),
        Reason(
            "PUT *tags*",
            "field ops[].tags[] (job)",
            "–",
            "*",
            "Tags can come in the body, as the API document says, not only in the query.",
        ),
        Reason(
            "GET *tags | GET /2/nodes* | GET /2/info | GET /2/instances*",
            "field [] | field tags[] | field [].tags[]",
            "–",
            "tag*",
            "These tags were sent in a body before.",
        ),
        Reason(
            "DELETE *tags?tag=tag1&tag=tag2",
            "job",
            "error OpPrereqError unknown_entity",
            "success",
            "These tags were sent in a body before, so they can be removed.",
        ),
        Reason(
            "GET /2/instances*",
            "field custom_osparams | field [].custom_osparams",
            "–",
            "*",
            "The parameters for the OS definition that are the instance's own, as in Ganeti 3.1.",
        ),
        Reason(
            "GET /2/instances*",
            "field [].name",
            "–",
            "*",
            "Entries of the list have id, as in Ganeti 3, and name, as in the API document.",
        ),
        Reason(
            "POST /2/nodes/*/evacuate*",
            "status",
            "400",
            "200*",
            (
                "Without mode, second copies of disks leave the node, as in the API document;"
                " Ganeti 3 demands mode, in the body."
            ),
        ),
        Reason(
            'POST /2/nodes/{node3}/evacuate {"mode": "all"}',
            "job",
            "error OpPrereqError wrong_input",
            "success",
            "All instances can leave a node by one request.",
        ),
        Reason(
            'PUT /2/instances/web1/rename {"new_name": "web6", "name_check": false}',
            "job",
            "error OpPrereqError wrong_input",
            "success",
            "Without name_check no address is looked up, so that ip_check has nothing to check;"
            " Ganeti wants to be told.",
        ),
        Reason(
            "PUT /2/instances/web6/rename*",
            "job",
            "error OpPrereqError unknown_entity",
            "success",
            "The instance has its name from the request before.",
        ),
        Reason(
            "GET /2/query/os* | GET /2/query/cluster* | GET /2/query/extstorage*",
            "status",
            "500 | 502",
            "200",
            (
                "These kinds can be asked about as all others; Ganeti's daemon cannot read its"
                " own question."
            ),
        ),
        Reason(
            "GET /2/query/filter* | GET /2/query/lock*",
            "value of fields[].kind",
            '"other"',
            '*"text"*',
            "Columns of texts and numbers are declared as such.",
        ),
        Reason(
            "PUT /2/instances/web1/migrate* | PUT /2/instances/web1/failover*",
            "type of opresult[] (job)",
            "null",
            "object",
            (
                "The result of a migration says where the guest runs, and for how long it stood"
                " still."
            ),
        ),
        Reason(
            "GET /2/query/node?fields=name",
            "status",
            "403",
            "200",
            "Every user may ask; Ganeti wants the option read or write for this.",
        ),
        Reason(
            "GET /2/jobs/1/wait*",
            "status",
            "401",
            "200",
            (
                "Waiting for a job changes nothing, so that nobody has to log in for it (unless"
                " the daemon was told so)."
            ),
        ),
        Reason(
            "GET /2/instances/web1/info*",
            "status",
            "200*",
            "401",
            (
                "What is answered by a job needs a login, as each job has to be kept. Those who"
                " ask the same share a job."
            ),
        ),
        Reason(
            "GET /2/jobs/1/wait",
            "status",
            "500",
            "200",
            "Without a body the status is watched.",
        ),
        Reason(
            "DELETE /2/jobs/{running}*",
            "value of []",
            "*",
            "*",
            "A running job stops at its next step that can be taken back; Ganeti lets it go on.",
        ),
        Reason(
            "POST /2/filters",
            "status",
            "400",
            "200",
            "Without a body a rule for jobs has its defaults, as with an empty object.",
        ),
    ),
    "Wrong input is refused": (
        Reason(
            "*",
            "status",
            "501",
            "405",
            (
                "A method that means nothing for a known path is 405, and the header Allow says"
                " what does."
            ),
        ),
        Reason(
            "*?nonsense=1",
            "status",
            "*",
            "400",
            (
                "A parameter in the query that there is not is refused, so that nobody believes"
                " that it had an effect; Ganeti passes over it."
            ),
        ),
        Reason(
            '* {"nonsense": 1}',
            "status",
            "200*",
            "400",
            (
                "A parameter in the body that there is not is refused; Ganeti does not read some"
                " bodies at all."
            ),
        ),
        Reason(
            "* 17 | * [[[* | * {",
            "status",
            "200* | 500 | no answer",
            "400",
            "A body that is no object is refused, also where nothing would be read from it.",
        ),
        Reason(
            'GET /2/info {"some": "body"}',
            "status",
            "200",
            "400",
            "A body where none is read is refused.",
        ),
        Reason(
            "GET /2/groups?bulk=1&bulk=0 | *?force=1&force=0",
            "status",
            "200*",
            "400",
            "A parameter that is given twice is refused; Ganeti takes one of both.",
        ),
        Reason(
            "GET *?bulk=* | GET *?static=* | * /2/*=x | * /2/*=no | * /2/*=yes | * /2/*=ja",
            "status",
            "200*",
            "400",
            "Flags are 0 or 1, as the API document says; Ganeti takes every whole number.",
        ),
        Reason(
            "GET /2/*lock=1",
            "status",
            "500",
            "400",
            (
                "Questions take no locks in both; here this is the client's mistake, not the"
                " server's."
            ),
        ),
        Reason(
            "PUT /2/tags (without a tag)",
            "status",
            "200 success",
            "400",
            "A request that adds no tag is refused.",
        ),
        Reason(
            'PUT /2/instances/web1/tags {"tag": "one"} | PUT /2/instances/web1/tags [1]',
            "status",
            "200 success",
            "400",
            "A body that is no list of tags is refused; Ganeti does not read it.",
        ),
        Reason(
            "DELETE *tags",
            "status",
            "200*",
            "400",
            "A request that removes no tag is refused.",
        ),
        Reason(
            "POST /2/instances*",
            "status",
            "502",
            "400 | 200 error OpPrereqError wrong_input",
            (
                "Values of a wrong type or range are told by path and name; Ganeti reports the"
                " trouble of one daemon with the other."
            ),
        ),
        Reason(
            "PUT /2/query/node*",
            "status",
            "500 | 502",
            "400",
            "A question that makes no sense is the client's mistake, not the server's.",
        ),
        Reason(
            'PUT /2/query/instance {"fields": ["name"], "qfilter": ["=~", "name", "(?=web)"]}',
            "status",
            "200",
            "400",
            (
                "Regular expressions are searched for in linear time, by RE2, which has no"
                " backreferences and no lookaround; Ganeti's backtrack, so that one request can"
                " keep all others waiting."
            ),
        ),
        Reason(
            "POST /2/filters {* | PUT /2/filters/* {*",
            "status",
            "500 | 502",
            "400",
            "A rule for jobs that makes no sense is the client's mistake, not the server's.",
        ),
        Reason(
            'POST /2/filters {"predicates": [["jobid", ["=", "colour", 1]]]}',
            "status",
            "200",
            "400",
            "A rule for jobs by a field that there is not is refused; Ganeti takes it.",
        ),
        Reason(
            "GET /2/query/nosuch*",
            "status",
            "502",
            "404",
            "A kind that there is not is not found.",
        ),
        Reason(
            'PUT /2/instances/web1/startup {"depends": [[999999, ["success"]]]}',
            "status",
            "200 error OpExecError",
            "400",
            (
                "A job that depends on one that there is not is not taken; Ganeti takes it, and"
                " it fails."
            ),
        ),
        Reason(
            'PUT /2/instances/web1/startup {"depends": [[-1, ["success"]]]}',
            "status",
            "200*",
            "400",
            (
                "A relative job id counts back within one request. One that counts further is"
                " refused; Ganeti takes the job submitted before, which can be anybody's."
            ),
        ),
        Reason(
            'PUT /2/networks/lan/modify {"add_reserved_ips": ["192.0.2.7"]}',
            "job",
            "success",
            "error OpPrereqError wrong_input",
            (
                "An address that is not in the network cannot be reserved; Ganeti says so in the"
                " log, and that it was done."
            ),
        ),
        Reason(
            "PUT /2/modify {}",
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "A change of nothing is refused, as for instances, nodes and groups.",
        ),
        Reason(
            "PUT *tags*",
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "These tags came in the body, which Ganeti does not read.",
        ),
        Reason(
            'POST /2/instances*"snode": "{node1}"*',
            "job",
            "success",
            "error OpPrereqError wrong_input",
            "A second node for disks that have no second copy is refused; Ganeti passes over it.",
        ),
        Reason(
            'POST /2/instances*"size": 1000000*',
            "job",
            "success",
            "error OpPrereqError insufficient_resources",
            (
                "A disk that is larger than what is free is refused; Ganeti makes the file,"
                " which has holes, and it breaks later."
            ),
        ),
    ),
    "What cannot be found or done, in other words": (
        Reason(
            "GET /2/jobs/999999",
            "status",
            "200",
            "404",
            (
                "A job that there is not is not found, as in the API document; Ganeti 3 answers"
                " an object of nulls."
            ),
        ),
        Reason(
            "DELETE /2/jobs/999999",
            "status",
            "200",
            "404",
            "A job that there is not is not found; Ganeti answers that it could not be canceled.",
        ),
        Reason(
            "GET /2/*",
            "status",
            "500",
            "404",
            "What there is not is not found; Ganeti answers 500 to this.",
        ),
        Reason(
            "DELETE /2/filters/*",
            "status",
            "500",
            "404",
            "A rule for jobs that there is not is not found; Ganeti answers 500 to this.",
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
                "None of several instances is made if one of them can be made nowhere; Ganeti"
                " submits jobs that fail."
            ),
        ),
        Reason(
            'POST /2/instances-multi-alloc*"iallocator": "nosuch"}',
            "error of the job",
            "OpExecError",
            "OpPrereqError unknown_entity",
            "An allocator that there is not is told before anything is tried.",
        ),
        Reason(
            "POST /2/instances/web1/reinstall?os=gentoo*",
            "status",
            "200 error OpExecError",
            "400",
            "An OS definition that there is not is told before the instance is stopped.",
        ),
        Reason(
            "POST *replace-disks*",
            "error of the job",
            "OpPrereqError internal_error",
            "OpPrereqError wrong_input",
            "Disks that have no second copy are not the server's fault.",
        ),
        Reason(
            "*",
            "error of the job",
            "TypeEnforcementError",
            "OpPrereqError wrong_input",
            (
                "An unknown parameter has the class that wrong input has everywhere else, and a"
                " classification."
            ),
        ),
        Reason(
            'PUT /2/instances/web1/modify {"disks": [["remove", 9, {}]]}',
            "error of the job",
            "OpPrereqError wrong_state",
            "OpPrereqError unknown_entity",
            "That the disk is not there comes before that the instance runs.",
        ),
        Reason(
            "PUT /2/instances/web1/failover*",
            "error of the job",
            "OpPrereqError wrong_state",
            "OpPrereqError wrong_input",
            "The node where the instance is already is no destination, whatever its state.",
        ),
        Reason(
            "POST /2/nodes/{node1}/modify* | PUT /2/nodes/{node1}/role*",
            "error of the job",
            "OpPrereqError wrong_input",
            "OpPrereqError wrong_state",
            (
                "The master's role cannot be changed as long as it is the master; the request is"
                " right as such."
            ),
        ),
        Reason(
            "POST /2/instances/web1/recreate-disks {}",
            "error of the job",
            "OpExecError",
            "OpPrereqError already_exists",
            "Disks that are there are told before anything is tried.",
        ),
        Reason(
            'POST /2/nodes/{node2}/evacuate {"mode": "primary-only"*',
            "error of the job",
            "OpExecError",
            "OpPrereqError insufficient_resources",
            (
                "That an instance has nowhere to go is told before anything is tried, with a"
                " classification."
            ),
        ),
        Reason(
            'POST /2/instances*"os": "gentoo"*',
            "error of the job",
            "OpExecError",
            "OpPrereqError unknown_entity",
            (
                "An OS definition that there is not is told before anything is tried, with a"
                " classification."
            ),
        ),
        Reason(
            "DELETE /2/jobs/*",
            "value of []",
            '"*',
            '"*',
            "The text says the same in other words.",
        ),
    ),
    "HTTP": (
        Reason(
            "*",
            "header connection",
            "close",
            "–",
            "Connections are kept, so that the next request needs no new TLS handshake.",
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
            "OPTIONS is answered as HTTP has it, with the methods in Allow.",
        ),
        Reason(
            "get *",
            "status",
            "200",
            "405",
            "Methods are in capitals, as HTTP has it.",
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
            "Bytes that are no UTF-8 are refused; Ganeti closes the connection.",
        ),
        Reason(
            "GET /version?x*",
            "status",
            "no answer",
            "400",
            "A long path is read, and its parameter is unknown; Ganeti closes the connection.",
        ),
        Reason(
            "GET /version (a header of 5000 bytes)",
            "status",
            "no answer",
            "200",
            "Headers may have this length; Ganeti closes the connection.",
        ),
    ),
    "What jobs show of their opcodes": (
        Reason(
            "*",
            "field ops[].dry_run*",
            "–",
            "false",
            (
                "Every opcode says whether it is a dry run; Ganeti's only where the resource"
                " takes dry-run."
            ),
        ),
        Reason(
            "*",
            "field ops[].debug_level*",
            "–",
            "0",
            "Every opcode has its debug level; Ganeti's not in all jobs of several opcodes.",
        ),
        Reason(
            "*",
            "field ops[].*_uuid (job) | field ops[].*_uuids (job)",
            "*",
            "–",
            "Opcodes show what was asked for, by name; Ganeti adds the identifiers that it found.",
        ),
        Reason(
            "*",
            "field ops[].beparams.* (job)",
            "* | –",
            "* | –",
            (
                "Opcodes show backend parameters as they were given; Ganeti replaces memory by"
                " minmem and maxmem, and removes what it has applied."
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
            "Opcodes show what was asked for; Ganeti adds what its checks filled in.",
        ),
        Reason(
            "* /2/instances*",
            (
                "value of ops[].iallocator (job) | value of ops[].src_path (job) | value of"
                " ops[].force_variant (job)"
            ),
            "*",
            "*",
            "Opcodes show what was asked for; Ganeti shows what its checks made of it.",
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
                "Several instances show as they were asked for, and stay on the nodes that are"
                " named; Ganeti shows what its checks and the allocator have filled in."
            ),
        ),
        Reason(
            "PUT /2/instances/web1/modify*",
            "* ops[].nics* (job) | * ops[].disks* (job)",
            "*",
            "*",
            (
                "Changes of network cards and disks show as they were given; Ganeti shows them"
                " with what it filled in."
            ),
        ),
        Reason(
            "GET /2/instances/*/info",
            "value of ops[].use_locking (job)",
            "true",
            "false",
            "Questions never take locks.",
        ),
        Reason(
            'PUT /2/nodes/{node3}/role?force=1 "regular"',
            "field ops[].drained (job) | value of ops[].master_candidate (job)",
            "– | true",
            "false",
            (
                "A node that is to be regular stays so; Ganeti makes it a candidate where the"
                " pool has room."
            ),
        ),
        Reason(
            "POST /2/nodes/{node1}/migrate?live=1",
            "field ops[].live (job) | field ops[].mode (job)",
            "– | live",
            "true | –",
            "Opcodes show what was asked for: live, and not the mode that stands for it now.",
        ),
    ),
    "What jobs answer": (
        Reason(
            "POST /2/instances?dry-run=1*",
            "value of opresult[][] (job)",
            '"<uuid>"',
            '"{node*}"',
            (
                "A dry run of a creation answers names of nodes, as the creation does, and as"
                " the API document says."
            ),
        ),
        Reason(
            "POST /2/instances-multi-alloc?dry-run=1*",
            "field opresult[].nodes (job) | field opresult[].reasons (job)",
            "–",
            "{}",
            "A dry run says where each instance would go, and why others have no place.",
        ),
        Reason(
            "PUT /2/tags?tag=ruled (rejected)",
            "type of opresult[] (job)",
            "null",
            "text",
            "The result of a job that a rule rejects says which rule it was.",
        ),
        Reason(
            "PUT /2/nodes/{node3}/role*",
            "value of opresult[][][] (job) | field opresult[][] (job)",
            "*",
            "*",
            (
                "The node was made a candidate by Ganeti before, when it was to be regular; see"
                " above."
            ),
        ),
        Reason(
            "POST /2/nodes/{node3}/modify* | PUT /2/groups/racks/modify*",
            "field opresult[][] (job)",
            "–",
            "[]",
            (
                "Everything that was changed is answered; Ganeti leaves out parameters of nodes"
                " and groups."
            ),
        ),
        Reason(
            "PUT /2/instances/web1/modify*",
            "value of opresult[][][] (job)",
            "*",
            "*",
            (
                "What was changed is answered as it was asked for; Ganeti adds what it filled"
                " in, and calls a card that is removed NIC/2 and others nic.2."
            ),
        ),
        Reason(
            "GET /2/instances/*/info*",
            "field opresult[].*.hv_actual.migration_mode (job)",
            "–",
            "live",
            "Parameters of the cluster's own that hold for the guest, too, are shown with it.",
        ),
    ),
    "Values": (
        Reason(
            "*",
            "type of *cpu_speed | type of *ipolicy.*-ratio",
            "integer",
            "number",
            "What may be a fraction is written as one; JSON does not tell 1 from 1.0.",
        ),
        Reason(
            "GET /2/info*",
            "field hvparams.kvm.kvm_accel | field hvparams.kvm.kvm_net",
            "–",
            "*",
            "Guests run in software where KVM does not work, and may have a network of their own.",
        ),
        Reason(
            "GET /2/info*",
            "field beparams.default.memory",
            "–",
            "*",
            "The memory of guests has its name of the API document, too.",
        ),
        Reason(
            "GET /2/info*",
            "value of diskparams.drbd.metavg",
            '"xenvg"',
            '""',
            "Where nothing is said, metadata are in the volume group of the data.",
        ),
        Reason(
            "GET /2/info*",
            "value of compression_tools[] | field compression_tools[]",
            "*",
            "*",
            "Data between nodes are sent as they are, over TLS.",
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
            "Placement is built in; an allocator is called only if one is set.",
        ),
        Reason(
            "GET /2/info*",
            "value of modify_ssh_setup",
            "true",
            "false",
            "Nodes join by token and certificates; nothing is done to the keys of ssh.",
        ),
        Reason(
            "GET /2/query/export*",
            "type of data[][][]",
            "integer or null or text",
            "integer or text",
            "A node without exports has no row; Ganeti has one with null.",
        ),
        Reason(
            "GET /2/instances/web1*",
            "value of custom_nicparams[].link | field custom_nicparams[].vlan",
            "*",
            "*",
            (
                "A change of a card's address leaves its other parameters to the cluster's"
                " defaults; Ganeti writes them all into it."
            ),
        ),
    ),
    "Because the two clusters are set up differently": (
        Reason(
            "GET /2/info*",
            "value of enabled_disk_templates[]",
            "*",
            "*",
            "The quick start enables more kinds of disks.",
        ),
        Reason(
            "GET *",
            "value of *ipolicy.*",
            "*",
            "*",
            "The policy was set when the cluster was made.",
        ),
        Reason(
            "GET /2/info* | GET /2/os",
            "value of [] | type of vg_name | type of volume_group_name",
            "*",
            "*",
            "The quick start has an OS definition more, and pretends to have a volume group.",
        ),
        Reason(
            "GET /2/info*",
            "type of drbd_helper | type of drbd_usermode_helper",
            "null",
            "text",
            "The quick start enables mirrored disks, which need a helper.",
        ),
        Reason(
            "*",
            "value of opresult[][][] (job) | value of opresult[].*.disks[].pstatus[] (job)",
            "*/srv/*",
            "*/srv/*",
            "Paths are below the root folder of the node.",
        ),
    ),
}
"""The reasons, by what kind of difference they explain."""

REASONS = tuple(reason for reasons in BY_KIND.values() for reason in reasons)

PACKAGE = "3.0.2-3"
"""The version of Debian's packages that was asked."""

HEAD = f"""\
# Where answers differ from Ganeti's

The same requests were sent to the remote API of this tree and to that of Debian's packages of
Ganeti ({PACKAGE}): every method of the API document, plain and in bulk, the resources that came
later, jobs to their end, and wrong input of every kind. Each cluster had three nodes, the
hypervisor *fake*, and disks in files and shared files. Compared were statuses, headers, the fields
of answers with their types and values, the results of jobs, and the classes of their errors; not
texts for people, times, identifiers, and what hosts have. Whatever is not in these tables was the
same.

In the tables `*` stands for anything and – for something that only the other side has; `(job)` is
a finished job as `/2/jobs/N` shows it.

    python -m tests.system.peer_answers --ours URL --theirs URL …

compares again (`--help` says what it wants to know), and ends with 1 if there is a difference that
is not here, or if one is here that there is not any more. This page is made of what it goes by:

    python -m tests.system.peer_reasons > doc/differences.md
"""


def page() -> str:
    """The list of differences, for operators."""
    parts = [HEAD]
    for kind, reasons in BY_KIND.items():
        lines = ["| request | what | Ganeti | here | why |", "|---|---|---|---|---|"]
        parts += [f"## {kind}\n", *lines, *map(_line, reasons), ""]
    parts += section()
    parts += ["## Not compared\n", *(f"* {what}: {why}" for what, why in LEFT_OUT.items()), ""]
    parts += ["# Where the command-line tools differ from Ganeti's\n", *tables()]
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
