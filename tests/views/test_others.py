# SPDX-License-Identifier: BSD-2-Clause
"""Jobs, locks, exports, OS definitions, providers, filters and the cluster."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.jobs.job import Job, QueuedOpcode
from ganeti.jobs.job import JobStatus as JobStatus
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.locking.lock_table import LockRow
from ganeti.model.filters import FilterRule
from ganeti.opcodes.instance.lifecycle import ReinstallInstance
from ganeti.opcodes.test import Delay
from ganeti.query.filters import compile_filter
from ganeti.rpc.node import OSDefinitionReport
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.views import exports, extstorage, filters, oses
from ganeti.views.cluster import CLUSTER, ClusterRow
from ganeti.views.exports import EXPORTS
from ganeti.views.extstorage import EXTSTORAGE
from ganeti.views.filters import FILTERS
from ganeti.views.jobs import JOBS, JobRow
from ganeti.views.locks import LOCKS
from ganeti.views.oses import OSES
from tests.views.moments import a_moment, only


def a_job(*inputs: OpcodeInput, number: int = 7) -> Job:
    ops = (
        QueuedOpcode(input=each, status=JobStatus.RUNNING, start_timestamp=(5, 1))
        for each in inputs
    )
    return Job(id=number, ops=tuple(ops), received_timestamp=(4, 500_000))


class JobTests(SynchronousTestCase):
    def shown(self, row: JobRow, *fields: str) -> list[Any]:
        return only(JOBS.plain(fields, [row]))

    def test_a_job(self) -> None:
        row = JobRow.from_job(
            a_job(
                OpcodeInput.from_opcode(Delay(duration=3)),
                OpcodeInput.from_opcode(Delay(duration=4)),
            )
        )
        fields = (
            "id",
            "status",
            "summary",
            "opstatus",
            "received_ts",
            "opstart",
            "oplog",
            "archived",
        )
        self.assertEqual(
            self.shown(row, *fields),
            [
                *(7, "running", ["TEST_DELAY(3)", "TEST_DELAY(4)"], ["running"] * 2),
                *((4, 500_000), [(5, 1)] * 2, [[], []], False),
            ],
        )

    def test_nobody_sees_the_secrets_of_a_job(self) -> None:
        secret = ReinstallInstance(
            instance_name="web1", osparams_private={"a": "xyz"}, osparams_secret={"b": "xyz"}
        )
        found = self.shown(JobRow.from_job(a_job(OpcodeInput.from_opcode(secret))), *JOBS.fields)
        self.assertNotIn("xyz", str(found))
        self.assertIn("web1", str(found))

    def test_every_opcode_says_whether_it_was_a_dry_run_and_what_it_logs(self) -> None:
        row = JobRow.from_job(
            a_job(
                OpcodeInput.from_opcode(Delay(duration=3)),
                OpcodeInput.from_opcode(Delay(duration=4, dry_run=True)),
            )
        )
        [ops] = self.shown(row, "ops")
        self.assertEqual([each["dry_run"] for each in ops], [False, True])
        self.assertEqual([each["debug_level"] for each in ops], [0, 0])

    def test_an_opcode_that_nobody_understands_has_a_name(self) -> None:
        row = JobRow.from_job(a_job(OpcodeInput(b'{"OP_ID":"OP_NEWER","x":1}')))
        self.assertEqual(self.shown(row, "ops", "summary"), [[{"OP_ID": "OP_NEWER"}], ["NEWER"]])

    def test_a_job_that_is_not_there_has_its_number_only(self) -> None:
        self.assertEqual(self.shown(JobRow(9, None), "id", "status", "ops"), [9, None, None])

    def test_jobs_are_filtered_by_time(self) -> None:
        row = JobRow.from_job(a_job(OpcodeInput.from_opcode(Delay(duration=3))))
        for written, expected in (
            (["<", "received_ts", 5], True),
            ([">", "received_ts", 5], False),
        ):
            self.assertIs(compile_filter(JOBS, written).matches(row), expected)


class LockTests(SynchronousTestCase):
    def test_who_holds_and_who_waits(self) -> None:
        row = LockRow("node/x", "shared", ("job 1",), (("exclusive", ("job 2",)),))
        self.assertEqual(
            only(LOCKS.plain(["name", "mode", "owner", "pending"], [row])),
            ["node/x", "shared", ("job 1",), [["exclusive", ["job 2"]]]],
        )


class ExportTests(SynchronousTestCase):
    def test_exports_by_node(self) -> None:
        moment = a_moment(
            a_cluster(nodes=["node1", "node2", a_node("node3", offline=True), "node4"])
        )
        found = {uuid_of("node", "node1"): ("b", "a"), uuid_of("node", "node2"): None}
        found[uuid_of("node", "node3")] = None
        self.assertEqual(
            EXPORTS.select(["node", "export"], exports.rows(moment, found)),
            [
                [[0, "node1"], [0, "a"]],
                [[0, "node1"], [0, "b"]],
                [[0, "node2"], [2, None]],
                [[0, "node3"], [4, None]],
            ],
        )


def an_os(name: str = "deb", **over: Any) -> OSDefinitionReport:
    fields: dict[str, Any] = {
        "name": name,
        "path": f"/os/{name}",
        "valid": True,
        "diagnosis": "",
        "variants": ("old", "new"),
        "parameters": (("size", "How large."),),
        "api_versions": (20, 15),
    }
    return OSDefinitionReport(**{**fields, **over})


class OSTests(SynchronousTestCase):
    def test_what_all_nodes_have_counts(self) -> None:
        moment = a_moment(a_cluster(hidden_os=("deb",), osparams={"deb": {"size": "1"}}))
        said = {"n1": [an_os()], "n2": [an_os(variants=("new",), api_versions=(20,))], "n3": None}
        fields = ("name", "valid", "hidden", "blacklisted", "variants", "api_versions", "osparams")
        [row] = oses.rows(moment, said)
        self.assertEqual(
            only(OSES.plain(fields, [row])),
            ["deb", True, True, False, ["new"], [20], {"size": "1"}],
        )
        self.assertEqual(row.choices, ["deb+new"])
        self.assertEqual(oses.usable([row]), [])

    def test_an_os_that_a_node_lacks_is_not_valid(self) -> None:
        said = {"n1": [an_os(), an_os("arch")], "n2": [an_os(), an_os("arch", valid=False)]}
        said["n3"] = [an_os()]
        found = oses.rows(a_moment(a_cluster()), said)
        self.assertEqual(OSES.plain(["name", "valid"], found), [["arch", False], ["deb", True]])
        self.assertEqual([row.name for row in oses.usable(found)], ["deb"])

    def test_each_node_is_told(self) -> None:
        [row] = oses.rows(a_moment(a_cluster()), {"n1": [an_os()], "n2": []})
        told = ["/os/deb", True, "", ["old", "new"], [["size", "How large."]], [20, 15], True]
        self.assertEqual(only(OSES.plain(["node_status"], [row])), [{"n1": [told], "n2": []}])


class ProviderTests(SynchronousTestCase):
    def test_providers_by_group(self) -> None:
        moment = a_moment(a_cluster(nodes=["node1", "node2"]))
        said = {"node1": [an_os("ceph")], "node2": [an_os("ceph", valid=False, diagnosis="old")]}
        self.assertEqual(
            only(
                EXTSTORAGE.plain(
                    ["name", "nodegroup_status", "parameters"], extstorage.rows(moment, said)
                )
            ),
            ["ceph", {"default": False}, [("size", "How large.")]],
        )


class FilterRuleTests(SynchronousTestCase):
    def test_rules_come_in_the_order_in_which_they_decide(self) -> None:
        state = a_cluster()
        for uuid, priority in (("u1", 5), ("u2", 1)):
            rule = FilterRule(
                uuid=uuid,
                watermark=0,
                priority=priority,
                predicates=(),
                action="ACCEPT",
                reason_trail=(),
            )
            state = state.put(rule)
        moment = a_moment(state)
        self.assertEqual(FILTERS.plain(["uuid"], filters.rows(moment)), [["u2"], ["u1"]])
        self.assertEqual(FILTERS.plain(["uuid"], filters.rows(moment, ["u1"])), [["u1"]])
        self.assertRaisesRegex(
            Refused, "job filter u3 does not exist", filters.rows, moment, ["u3"]
        )


class ClusterTests(SynchronousTestCase):
    def test_the_cluster_is_one_row(self) -> None:
        row = ClusterRow(a_moment(a_cluster()), False, None, "3.0.2", ("64bit", "x86_64"))
        self.assertEqual(
            only(CLUSTER.select(["name", "master_node", "drain_flag", "watcher_pause"], [row])),
            [[0, "cluster.example.com"], [0, "node1"], [0, False], [3, None]],
        )
