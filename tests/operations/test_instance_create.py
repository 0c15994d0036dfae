# SPDX-License-Identifier: BSD-2-Clause
"""Creating instances: what is refused, what is made, and what is taken back."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.errors import Code, Failed, Invalid, JobCanceled, Refused, Unreachable
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.instance.create import create
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.disks import CreateDisk
from ganeti.rpc.instances import InstallOS, StartInstanceCall
from ganeti.rpc.node import DescribeNode, DescribeOSes, ValidateHypervisor
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.facts import an_os, some_facts
from ganeti.testing.tools import MemoryTools

NODES = ("node1", "node2")
CHECKS = ("ValidateHypervisor", "ValidateOS")
IDENTITY = "11111111-2222-4333-8444-555555555555"


def an_order(**over: Any) -> CreateInstance:
    fields: dict[str, Any] = {
        "instance_name": "web1",
        "mode": "create",
        "disk_template": "file",
        "disks": [{"size": 1024}],
        "nics": [{}],
        "os_type": "noop",
        "pnode": "node1",
        "name_check": False,
    }
    order = read_opcode({"OP_ID": "OP_INSTANCE_CREATE", **fields, **over})
    assert isinstance(order, CreateInstance)
    return order


def facts(*oses: Any, **over: Any) -> NodeAnswers:
    answers: dict[tuple[str, Any], Any] = {}
    for node in NODES:
        answers[uuid_of("node", node), DescribeNode] = some_facts(**over)
        answers[uuid_of("node", node), DescribeOSes] = list(oses) or [an_os()]
    return NodeAnswers(answers, IDENTITY)


class CreateTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = a_cluster(
            nodes=NODES,
            enabled_disk_templates=("file", "diskless"),
            file_storage_dir="/srv/ganeti/file-storage",
        )
        self.memory = MemoryTools(state)

    def refusal(self, expected: type[Exception] = Refused, **over: Any) -> Any:
        with self.assertRaises(expected) as caught:
            create.plan(an_order(**over), self.memory.state(), facts())
        return caught.exception

    def create(self, **over: Any) -> Any:
        plan = create.plan(an_order(**over), self.memory.state(), facts())
        return create.run(plan, self.memory.tools)

    def test_disks_configuration_system_and_start_come_in_this_order(self) -> None:
        self.assertEqual(self.successResultOf(self.create()), ["node1"])
        names = [name for _, name in self.memory.nodes.calls() if name not in CHECKS]
        self.assertEqual(names, ["CreateDisk", "InstallOS", "StartInstanceCall"])
        instance = self.memory.state().instance("web1")
        self.assertIs(instance.admin_state, AdminState.UP)
        self.assertEqual(verify(self.memory.state()), [])

    def test_a_hypervisor_that_nobody_drives_is_refused(self) -> None:
        # Clusters that are taken over from other versions can have it enabled.
        self.memory = MemoryTools(a_cluster(nodes=NODES, enabled_hypervisors=("lxc",)))
        self.assertIn("lxc", str(self.refusal()))

    def test_an_instance_that_is_not_to_run_is_not_started(self) -> None:
        self.successResultOf(self.create(start=False))
        self.assertIs(self.memory.state().instance("web1").admin_state, AdminState.DOWN)
        self.assertEqual(self.memory.nodes.calls(StartInstanceCall), [])

    def test_a_failed_installation_leaves_nothing(self) -> None:
        self.memory.nodes.answers[InstallOS] = Failed("script said no")
        self.failureResultOf(self.create(), Failed)
        names = [name for _, name in self.memory.nodes.calls() if name not in CHECKS]
        self.assertEqual(names, ["CreateDisk", "InstallOS", "RemoveDisk"])
        self.assertEqual(len(self.memory.state().instances), 0)

    def test_what_its_node_cannot_run_is_refused_before_anything_is_made(self) -> None:
        self.memory.nodes.answers[ValidateHypervisor] = Failed("nics/0: there is no bridge br7")
        failure = self.failureResultOf(self.create(), Refused)
        self.assertIn("node node1: nics/0: there is no bridge br7", str(failure.value))
        made = [name for _, name in self.memory.nodes.calls() if name not in CHECKS]
        self.assertEqual((made, self.memory.journal.commits), ([], []))

    def test_a_disk_that_may_have_been_made_is_removed(self) -> None:
        self.memory.nodes.answers[CreateDisk] = Failed("disk full")
        self.failureResultOf(self.create(), Failed)
        names = [name for _, name in self.memory.nodes.calls() if name not in CHECKS]
        self.assertEqual(names, ["CreateDisk", "RemoveDisk"])

    def test_nothing_is_made_of_what_its_node_does_not_accept(self) -> None:
        refusal = Failed("kernel_path: there is no /vmlinuz on this node", Code.INPUT)
        self.memory.nodes.answers[ValidateHypervisor] = refusal
        failure = self.failureResultOf(self.create(), Refused)
        self.assertIn("node1: kernel_path: there is no /vmlinuz", str(failure.value))
        self.assertEqual(self.memory.nodes.calls(CreateDisk), [])
        self.assertEqual(len(self.memory.state().instances), 0)

    def test_a_canceled_job_takes_back_what_it_did(self) -> None:
        self.memory.progress.canceled = lambda: bool(self.memory.nodes.calls(CreateDisk))
        self.failureResultOf(self.create(), JobCanceled)
        self.assertEqual(len(self.memory.state().instances), 0)
        self.assertEqual(self.memory.nodes.calls()[-1], ("node1", "RemoveDisk"))

    def test_an_installed_instance_that_does_not_start_stays(self) -> None:
        empty = self.memory.state()
        for error in (Failed("no memory"), Refused("there is no bridge br7")):
            self.memory = MemoryTools(empty, {StartInstanceCall: error})
            failure = self.failureResultOf(self.create(), Failed)
            self.assertIn(f"was created but cannot be started: {error}", str(failure.value))
            self.assertIs(self.memory.state().instance("web1").admin_state, AdminState.DOWN)

    def test_an_instance_that_may_have_started_stays_configured_to_run(self) -> None:
        self.memory.nodes.answers[StartInstanceCall] = Unreachable("node1", "it is silent")
        failure = self.failureResultOf(self.create(), Failed)
        self.assertIn("when the node answers: gnt-instance startup web1", str(failure.value))
        instance = self.memory.state().instance("web1")
        self.assertEqual((instance.admin_state, instance.disks_active), (AdminState.UP, True))

    def test_every_problem_is_told_at_once(self) -> None:
        error = self.refusal(
            Invalid,
            disks=[{"size": 0}, {"size": "1x", "mode": "wo"}],
            nics=[{"mac": "nonsense"}],
            beparams={"memroy": 1},
            os_type=None,
        )
        paths = [problem.path for problem in error.problems]
        expected = ["disks[0]/size", "disks[1]/size", "disks[1]/mode", "nics[0]/mac"]
        self.assertEqual(paths, [*expected, "beparams/memroy", "os_type"])

    def test_a_name_is_given_once(self) -> None:
        self.successResultOf(self.create())
        self.assertEqual(self.refusal().code, Code.EXISTS)

    def test_an_unknown_os_is_refused_with_the_known_ones(self) -> None:
        self.assertIn("known are: noop", str(self.refusal(os_type="plan9")))

    def test_a_template_that_is_not_enabled_is_refused(self) -> None:
        self.assertIn("enabled are: file, diskless", str(self.refusal(disk_template="plain")))

    def test_a_size_beyond_the_policy_is_refused(self) -> None:
        refusal = self.refusal(beparams={"vcpus": 99})
        self.assertIn("99 virtual processors is outside the range 1 to 8", str(refusal))

    def test_without_a_node_the_roomiest_is_chosen(self) -> None:
        answers = dict(facts().answers)
        answers[uuid_of("node", "node2"), DescribeNode] = some_facts(memory_free=30000)
        plan = create.plan(an_order(pnode=None), self.memory.state(), NodeAnswers(answers))
        self.assertEqual([node.name for node in plan.nodes], ["node2"])

    def test_only_the_chosen_node_is_asked_for_its_definitions(self) -> None:
        order, state = an_order(pnode=None), self.memory.state()
        asked = [each for each in create.questions(order, state) if each.max_age is None]
        self.assertEqual(asked, [])
        answers = {key: each for key, each in facts().answers.items() if key[1] is DescribeNode}
        plan = create.plan(order, state, NodeAnswers(answers, IDENTITY))
        self.memory.nodes.answers[DescribeOSes] = [an_os(name="other")]
        failure = self.failureResultOf(create.run(plan, self.memory.tools), Refused)
        self.assertIn("noop does not exist on node node1", str(failure.value))
        self.assertEqual(self.memory.state().instances, state.instances)

    def test_a_node_that_is_named_is_asked_and_others_may_be_known(self) -> None:
        ages = {
            node.name: each.max_age
            for each in create.questions(an_order(), self.memory.state())
            if isinstance(each.call, DescribeNode)
            for node in each.nodes
        }
        self.assertEqual(ages, {"node1": None, "node2": create.MAX_AGE_OF_OTHERS})

    def test_without_room_every_node_has_its_reason(self) -> None:
        with self.assertRaises(Refused) as caught:
            lack = facts(memory_free=10)
            create.plan(an_order(pnode=None), self.memory.state(), lack)
        self.assertEqual(caught.exception.code, Code.RESOURCES)
        for node in NODES:
            self.assertIn(f"{node} has 10 MiB of free memory", str(caught.exception))

    def test_an_offline_node_is_refused(self) -> None:
        state = a_cluster(nodes=["node1", a_node("node2", offline=True)])
        order = an_order(pnode="node2", disk_template="diskless", disks=[])
        with self.assertRaisesRegex(Refused, "node2 cannot host instance web1: it is offline"):
            create.plan(order, state, facts())

    def test_hooks_see_the_instance_before_and_after(self) -> None:
        plan = create.plan(an_order(), self.memory.state(), facts())
        before = create.hooks(plan, self.memory.state())
        self.successResultOf(create.run(plan, self.memory.tools))
        after = create.hooks(plan, self.memory.state())
        assert before is not None
        assert after is not None
        self.assertEqual(before.environment["INSTANCE_DISK_COUNT"], "1")
        self.assertEqual(before.environment, after.environment)
