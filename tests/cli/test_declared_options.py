# SPDX-License-Identifier: BSD-2-Clause
"""The options of a command follow from the fields of its opcode, and fill them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Arguments, Command, Positional
from ganeti.cli.declared_options import build_opcode, derive_options, told
from ganeti.cli.options import BOOL, IDENTKEYVAL, INT, KEYVAL, LIST, TEXT, Option
from ganeti.errors import Invalid
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.opcodes.node import ModifyNode

STOP = Command(name="shutdown", opcode="OP_INSTANCE_SHUTDOWN", many="instance_name")
CHANGE = Command(
    name="modify", opcode="OP_NODE_SET_PARAMS", words=(Positional("node_name", "node"),)
)
REBOOT = Command(name="reboot", opcode="OP_INSTANCE_REBOOT")
CREATE = Command(name="add", opcode="OP_INSTANCE_CREATE")


def options(command: Command) -> Mapping[str, Option]:
    return {option.name: option for option in derive_options(command)}


class FlagTests(SynchronousTestCase):
    def test_a_flag_is_the_name_of_the_field_unless_another_is_known(self) -> None:
        found = options(STOP)
        self.assertEqual(found["no_remember"].flags, ("--no-remember",))
        self.assertEqual(found["ignore_offline_nodes"].flags, ("--ignore-offline",))
        self.assertEqual(found["force"].flags, ("-f", "--force"))

    def test_a_field_that_is_true_by_default_is_switched_off(self) -> None:
        option = options(CREATE)["start"]
        self.assertEqual((option.flags, option.kind, option.sets), (("--no-start",), None, False))
        self.assertEqual(option.doc, "Do not start the new instance.")

    def test_a_field_that_is_false_by_default_is_switched_on(self) -> None:
        option = options(CREATE)["force_variant"]
        self.assertEqual((option.kind, option.sets), (None, True))

    def test_a_field_that_may_be_unknown_takes_yes_or_no(self) -> None:
        self.assertIs(options(CHANGE)["offline"].kind, BOOL)

    def test_the_type_of_a_value_is_that_of_the_field(self) -> None:
        found = options(CREATE)
        kinds = {name: found[name].kind for name in ("pnode", "hvparams", "tags")}
        self.assertEqual(
            kinds, {"pnode": TEXT, "hvparams": KEYVAL.with_keys("hypervisor"), "tags": LIST}
        )
        self.assertIs(options(STOP)["timeout"].kind, INT)

    def test_an_enumeration_is_a_choice_of_its_words(self) -> None:
        option = options(REBOOT)["reboot_type"]
        assert option.kind is not None
        self.assertEqual(option.flags, ("-t", "--type"))
        self.assertEqual(option.kind.choices, ("soft", "hard", "full"))

    def test_groups_of_values_are_repeated(self) -> None:
        option = options(CHANGE)["hv_state"]
        self.assertEqual(
            (option.kind, option.many), (IDENTKEYVAL.with_keys("hypervisor-state"), True)
        )

    def test_each_option_explains_its_field(self) -> None:
        self.assertEqual(options(STOP)["force"].doc, "Ignore warnings.")
        for command in (STOP, CHANGE, REBOOT, CREATE):
            self.assertEqual([each for each in derive_options(command) if not each.doc], [])

    def test_the_options_of_all_jobs_and_what_only_programs_set_are_not_derived(self) -> None:
        found = options(CREATE)
        self.assertEqual(found.keys() & {"dry_run", "priority", "reason", "depends"}, set())
        self.assertEqual([name for name in found if name.endswith("_uuid")], [])


class CommandTests(SynchronousTestCase):
    def test_what_the_command_takes_otherwise_is_no_option(self) -> None:
        self.assertNotIn("node_name", options(CHANGE))
        self.assertNotIn("instance_name", options(STOP))
        command = Command(
            name="reboot",
            opcode="OP_INSTANCE_REBOOT",
            options=(Option(("--kind",), "reboot_type", "Its own."),),
            without=("shutdown_timeout",),
        )
        self.assertEqual(options(command).keys(), {"instance_name", "ignore_secondaries"})

    def test_a_flag_of_the_command_goes_before_the_usual_one(self) -> None:
        own = Option(("--how",), "reboot_type", "", TEXT)
        option = options(Command(name="reboot", opcode="OP_INSTANCE_REBOOT", flags=(own,)))
        self.assertEqual(option["reboot_type"].flags, ("--how",))
        self.assertIs(option["reboot_type"].kind, TEXT)
        self.assertIn("soft:", option["reboot_type"].doc)

    def test_a_text_of_the_command_goes_before_that_of_the_field(self) -> None:
        own = Option(("--how",), "reboot_type", "How to reboot.", TEXT)
        option = options(Command(name="reboot", opcode="OP_INSTANCE_REBOOT", flags=(own,)))
        self.assertEqual(option["reboot_type"].doc, "How to reboot.")

    def test_an_opcode_is_told_in_one_sentence(self) -> None:
        said = "Shut down an instance cleanly, and kill its guest after a time-out."
        self.assertEqual(told("OP_INSTANCE_SHUTDOWN"), said)


class BuildTests(SynchronousTestCase):
    def built(self, command: Command, **values: Any) -> Any:
        return build_opcode(Arguments("gnt-tool", command, values))

    def problems(self, command: Command, **values: Any) -> dict[str, str]:
        error = self.assertRaises(Invalid, self.built, command, **values)
        return {problem.path: problem.message for problem in error.problems}

    def test_values_fill_the_fields_and_the_rest_has_its_defaults(self) -> None:
        built = self.built(STOP, instance_name="web1", timeout=5, mode="cluster")
        self.assertEqual(built, ShutdownInstance(instance_name="web1", timeout=5))

    def test_the_options_of_jobs_are_not_taken_from_here(self) -> None:
        built = self.built(STOP, instance_name="web1", priority=-10, dry_run=True)
        self.assertEqual(built, ShutdownInstance(instance_name="web1"))

    def test_pairs_that_were_given_one_by_one_become_an_object(self) -> None:
        pairs = [("kvm", {"mem_node": "512"}), ("fake", {})]
        built = self.built(CHANGE, node_name="node1", hv_state=pairs)
        wanted = ModifyNode(node_name="node1", hv_state={"kvm": {"mem_node": "512"}, "fake": {}})
        self.assertEqual(built, wanted)

    def test_a_preset_yields_to_what_is_given_and_that_to_what_is_computed(self) -> None:
        command = Command(
            name="stop", opcode="OP_INSTANCE_SHUTDOWN", preset={"timeout": 1, "force": True}
        )
        self.assertEqual(self.built(command, instance_name="a").timeout, 1)
        built = self.built(command, instance_name="a", timeout=2)
        self.assertEqual((built.timeout, built.force), (2, True))
        computed = Command(
            name="stop",
            opcode="OP_INSTANCE_SHUTDOWN",
            given=lambda arguments: {"timeout": arguments["timeout"] + 1},
        )
        self.assertEqual(self.built(computed, instance_name="a", timeout=2).timeout, 3)

    def test_every_problem_is_told_under_its_flag(self) -> None:
        found = self.problems(STOP, instance_name="a", timeout="x", ignore_offline_nodes="y")
        self.assertEqual(found.keys(), {"--timeout", "--ignore-offline"})

    def test_a_problem_inside_of_a_value_has_the_rest_of_its_path(self) -> None:
        found = self.problems(CHANGE, node_name="node1", ndparams={"ssh_port": ["\x07"]})
        self.assertTrue(all(path.startswith("--node-parameters") for path in found), found)
        self.assertNotIn("--node-parameters", found)

    def test_a_positional_argument_is_told_by_its_name(self) -> None:
        self.assertEqual(self.problems(STOP).keys(), {"instance_name"})
