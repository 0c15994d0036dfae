# SPDX-License-Identifier: BSD-2-Clause
"""Instances: creation by version, reinstallation in steps, and consoles by tickets."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ganeti.errors import Code, Invalid, Refused
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import (
    CreateConsoleTicket,
    Query,
    QueryInstances,
    SubmitJob,
    SubmitSharedJob,
    TakeScreenshot,
)
from ganeti.model.users import Role
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.lifecycle import (
    DescribeInstances,
    RebootInstance,
    ReinstallInstance,
    RemoveInstance,
    ShutdownInstance,
    StartInstance,
)
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.routes.instances import ROUTES
from ganeti.rapi.verbs import Admitted
from tests.rapi.routes.case import RouteCase

ALL, ONE = "/2/instances", "/2/instances/{instance_name}"
WEB1 = {"instance_name": "web1"}
NEW: dict[str, Any] = {"__version__": 1, "mode": "create", "name": "web1", "disks": [], "nics": []}


class InstanceCase(RouteCase):
    ROUTES = ROUTES

    def do(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Call a method of web1; the opcode of its job."""
        given = {name: [text] for name, text in query.items()}
        self.answer(method, ONE + path, body, variables=WEB1, query=given)
        return self.job()


class CreationTests(InstanceCase):
    def created(self, **over: Any) -> Any:
        self.answer("POST", ALL, {**NEW, **over})
        return self.job()

    def refused(self, body: object) -> dict[str, str]:
        error = self.refusal(Invalid, "POST", ALL, body)
        return {each.path: each.message for each in error.problems}

    def test_a_name_and_an_os_have_short_names(self) -> None:
        made = self.created(os="noop")
        self.assertIsInstance(made, CreateInstance)
        self.assertEqual((made.instance_name, made.os_type), ("web1", "noop"))

    def test_the_version_is_one(self) -> None:
        for version, told in ((2, "must be 1"), ("1", "must be 1"), (True, "must be 1")):
            self.assertEqual(self.refused({**NEW, "__version__": version}), {"__version__": told})

    def test_without_a_version_all_other_problems_are_told_too(self) -> None:
        found = self.refused({"mode": "create", "name": 7, "colour": "red"})
        self.assertEqual(found["__version__"], "is required and must be 1")
        self.assertLessEqual({"name", "colour", "disks", "nics"}, found.keys())

    def test_devices_may_be_separated_by_spaces(self) -> None:
        devices = {"usb_devices": "usb-kbd usb-mouse", "acpi": True}
        made = self.created(hvparams=devices)
        self.assertEqual(made.hvparams, {**devices, "usb_devices": "usb-kbd,usb-mouse"})
        made = self.do("PUT", "/modify", {"custom_hvparams": devices})
        self.assertEqual(made.hvparams["usb_devices"], "usb-kbd,usb-mouse")

    def test_several_have_the_same_short_names(self) -> None:
        one = {name: value for name, value in NEW.items() if name != "__version__"}
        self.answer("POST", "/2/instances-multi-alloc", {"instances": [{**one, "os": "noop"}]})
        made = self.job()
        assert isinstance(made, AllocateInstances)
        [inner] = made.instances
        self.assertEqual((inner.instance_name, inner.os_type), ("web1", "noop"))

    def test_several_must_be_given_as_a_list(self) -> None:
        for body in (None, {}, {"instances": 7}, {"instances": [7]}):
            error = self.refusal(Invalid, "POST", "/2/instances-multi-alloc", body)
            [problem] = error.problems
            self.assertTrue(problem.path.startswith("instances"), problem)


class JobTests(InstanceCase):
    def test_a_reboot_is_hard_unless_something_is_said(self) -> None:
        for query, kind in (({}, "hard"), ({"type": "soft"}, "soft")):
            wanted = RebootInstance(instance_name="web1", reboot_type=kind)  # type: ignore[arg-type]
            self.assertEqual(self.do("POST", "/reboot", **query), wanted)

    def test_a_removal_ignores_no_failures(self) -> None:
        wanted = RemoveInstance(instance_name="web1", ignore_failures=False)
        self.assertEqual(self.do("DELETE", ""), wanted)
        error = self.refusal(Invalid, "DELETE", ONE, {"ignore_failures": True}, variables=WEB1)
        self.assertEqual([each.path for each in error.problems], ["ignore_failures"])

    def test_disks_to_replace_are_a_list_or_a_text(self) -> None:
        for body, query in (
            ({"mode": "replace_auto", "disks": [0, 2]}, {}),
            ({"mode": "replace_auto", "disks": "0, 2"}, {}),
            (None, {"mode": "replace_auto", "disks": "0,2"}),
        ):
            made = self.do("POST", "/replace-disks", body, **query)
            assert isinstance(made, ReplaceDisks)
            self.assertEqual((made.mode, made.disks), ("replace_auto", (0, 2)))

    def test_the_disk_that_grows_is_that_of_the_path(self) -> None:
        variables = {**WEB1, "disk": "1"}
        self.answer("POST", ONE + "/disk/{disk}/grow", {"amount": 512}, variables=variables)
        made = self.job()
        self.assertEqual((made.instance_name, made.disk, made.amount), ("web1", 1, 512))

    def test_parameters_may_have_the_names_under_which_they_are_shown(self) -> None:
        made = self.do("PUT", "/modify", {"custom_beparams": {"vcpus": 2}})
        assert isinstance(made, ModifyInstance)
        self.assertEqual(made.beparams, {"vcpus": 2})

    def test_details_are_a_job_that_clients_share(self) -> None:
        self.master.canned[SubmitSharedJob] = 7
        path = ONE + "/info"
        found = self.answer("GET", path, variables=WEB1, query={"static": ["1"]})
        self.assertEqual(found, 7)
        [asked] = self.master.asked
        assert isinstance(asked, SubmitSharedJob)
        [opcode] = asked.ops
        assert isinstance(opcode, DescribeInstances)
        self.assertEqual((opcode.instances, opcode.static), (("web1",), True))


class ReinstallTests(InstanceCase):
    def setUp(self) -> None:
        super().setUp()
        self.master.canned[Query] = {"fields": [], "data": [[[0, "noop"]], [[0, "debian"]]]}

    def steps(self, body: object = None, **query: str) -> list[Any]:
        given = {name: [text] for name, text in query.items()}
        self.answer("POST", ONE + "/reinstall", body, variables=WEB1, query=given)
        asked = self.master.asked[-1]
        assert isinstance(asked, SubmitJob)
        return list(asked.ops)

    def test_the_instance_is_stopped_installed_and_started(self) -> None:
        stop, install, start = self.steps()
        kinds = (ShutdownInstance, ReinstallInstance, StartInstance)
        for step, kind in zip((stop, install, start), kinds, strict=True):
            self.assertIsInstance(step, kind)
            self.assertEqual(step.instance_name, "web1")
        self.assertIs(install.os_type, None)

    def test_it_may_stay_stopped(self) -> None:
        for how in ({"body": {"start": False}}, {"nostartup": "1"}):
            self.assertEqual(len(self.steps(**how)), 2)

    def test_an_os_may_be_named_with_its_variant_and_parameters(self) -> None:
        _, install, _ = self.steps({"os": "debian+12", "osparams": {"size": "small"}})
        self.assertEqual((install.os_type, install.osparams), ("debian+12", {"size": "small"}))
        _, install, _ = self.steps(os="noop")
        self.assertEqual(install.os_type, "noop")

    def test_nothing_is_stopped_for_an_unknown_os(self) -> None:
        error = self.refusal(Invalid, "POST", ONE + "/reinstall", {"os": "vms"}, variables=WEB1)
        told = "os: unknown OS definition vms; must be one of debian, noop"
        self.assertEqual(str(error), told)

    def test_parameters_are_in_the_query_or_in_the_body(self) -> None:
        error = self.refusal(
            Invalid,
            "POST",
            ONE + "/reinstall",
            {"start": False},
            variables=WEB1,
            query={"os": ["noop"]},
        )
        self.assertIn("in the query or in the body, not in both", str(error))

    def test_a_dry_run_is_one_in_every_step(self) -> None:
        steps = self.steps({"start": True}, **{"dry-run": "1", "reason": "rain"})
        self.assertEqual([each.dry_run for each in steps], [True] * 3)
        self.assertEqual({each.reason[0][1] for each in steps}, {"rain"})


class ConsoleTests(InstanceCase):
    def console(self, *rows: list[Any]) -> Any:
        self.master.canned[QueryInstances] = list(rows)
        return self.answer("GET", ONE + "/console", variables=WEB1)

    def test_a_running_instance_has_one(self) -> None:
        console = {"instance": "web1", "kind": "ssh"}
        self.assertEqual(self.console([console, True]), console)

    def test_one_that_does_not_run_has_none(self) -> None:
        for row in ([{"kind": "ssh"}, False], [None, True]):
            self.master.canned[QueryInstances] = [row]
            error = self.refusal(HttpProblem, "GET", ONE + "/console", variables=WEB1)
            self.assertEqual(error.status, HTTPStatus.SERVICE_UNAVAILABLE)
            self.assertEqual(str(error), "instance web1 is not running; start it first")

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned[QueryInstances] = []
        error = self.refusal(Refused, "GET", ONE + "/console", variables=WEB1)
        self.assertEqual(error.code, Code.UNKNOWN)

    def test_a_ticket_is_for_the_caller_and_its_address_is_quoted(self) -> None:
        self.master.canned[CreateConsoleTicket] = {"node": "node1", "ticket": "a+b/c"}
        admitted = Admitted(Caller(user="ann"), "ann", Role.OPERATOR)
        body = {"stream": "vnc", "take_over": True}
        found = self.answer(
            "POST", ONE + "/console-ticket", body, variables=WEB1, admitted=admitted
        )
        self.assertEqual(found["stream"], "vnc")
        self.assertTrue(found["ticket"].startswith("node1"))
        self.assertTrue(found["ticket"].endswith("a+b/c"))
        self.assertTrue(found["uri"].endswith("a%2Bb%2Fc"))
        wanted = CreateConsoleTicket(instance="web1", stream="vnc", viewer="ann", take_over=True)
        self.assertEqual(self.master.asked, [wanted])

    def test_a_console_is_the_serial_line_or_the_screen(self) -> None:
        error = self.refusal(
            Invalid, "POST", ONE + "/console-ticket", {"stream": "spice"}, variables=WEB1
        )
        self.assertEqual([each.path for each in error.problems], ["stream"])

    def test_a_picture_is_asked_of_the_master(self) -> None:
        self.master.canned[TakeScreenshot] = "iVBORw0K"
        found = self.answer("GET", ONE + "/screenshot", variables=WEB1)
        self.assertEqual(found, {"png": "iVBORw0K"})
        self.assertEqual(self.master.asked, [TakeScreenshot(instance="web1")])

    def test_what_shows_a_screen_needs_more_than_a_login_and_is_not_logged(self) -> None:
        for method, path in (("POST", "/console-ticket"), ("GET", "/screenshot")):
            verb: Any = self.verb(method, ONE + path)
            self.assertEqual((verb.access, verb.confidential), (AccessLevel.WRITE, True))
        self.assertIs(self.verb("GET", "/2/console").access, AccessLevel.TICKET)
