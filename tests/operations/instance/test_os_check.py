# SPDX-License-Identifier: BSD-2-Clause
"""An OS definition is there, valid, allowed, and has the variant and parameters."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.operations.instance.os_check import (
    check_installable,
    find_definition,
    make_os_query,
    unknown_parameters,
)
from ganeti.rpc.node import ValidateOS
from ganeti.testing.builders import a_cluster, a_guest, a_node
from ganeti.testing.facts import an_os

DEBIAN = an_os("debian", variants=("small", "large"), parameters=(("Release", ""), ("arch", "")))
BROKEN = an_os("broken", valid=False, diagnosis="there is no create script")
KNOWN = (an_os("noop"), DEBIAN, BROKEN)


class DefinitionTests(SynchronousTestCase):
    def find(self, os: str, *, force: bool = False) -> str:
        return find_definition(os, KNOWN, "node1", force_variant=force).name

    def assert_refused(self, os: str, reason: str, code: Code, *, force: bool = False) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            self.find(os, force=force)
        self.assertEqual(raised.exception.code, code)

    def test_a_definition_is_found_by_its_name_without_the_variant(self) -> None:
        self.assertEqual((self.find("noop"), self.find("debian+small")), ("noop", "debian"))

    def test_an_unknown_one_is_refused_with_the_valid_ones(self) -> None:
        reason = "arch does not exist on node node1; known are: debian, noop"
        self.assert_refused("arch", reason, Code.UNKNOWN)
        with self.assertRaisesRegex(Refused, "known are: none"):
            find_definition("noop", [], "node1", force_variant=False)

    def test_an_invalid_one_is_refused_with_the_reason_even_by_force(self) -> None:
        reason = "broken on node node1 is invalid: there is no create script"
        for force in (False, True):
            self.assert_refused("broken", reason, Code.ENVIRONMENT, force=force)

    def test_a_variant_is_required_if_there_are_some(self) -> None:
        reason = r"debian requires a variant: debian\+small, debian\+large"
        self.assert_refused("debian", reason, Code.INPUT)

    def test_an_unknown_variant_is_refused_unless_forced(self) -> None:
        reason = "debian has no variant huge; known are: small, large; use --force-variant"
        self.assert_refused("debian+huge", reason, Code.INPUT)
        self.assert_refused("noop+huge", "known are: none", Code.INPUT)
        for os in ("debian+huge", "debian"):
            self.assertEqual(self.find(os, force=True), "debian")


class InstallationTests(SynchronousTestCase):
    def check(self, os: str, osparams: dict[str, Any] | None = None, **cluster: Any) -> None:
        guest = a_guest("web1", os=os, osparams=osparams or {})
        settings = a_cluster(**cluster).cluster
        check_installable(guest, KNOWN, "node1", settings, force_variant=False)

    def test_a_definition_or_one_of_its_variants_can_be_blacklisted(self) -> None:
        for banned in ("debian", "debian+small"):
            with self.assertRaisesRegex(
                Refused, r"gnt-os modify --blacklisted=no debian(\+small)?"
            ):
                self.check("debian+small", blacklisted_os=(banned,))
        self.check("debian+large", blacklisted_os=("debian+small", "noop"))

    def test_a_hidden_definition_can_be_installed(self) -> None:
        self.check("noop", hidden_os=("noop",))

    def test_every_unknown_parameter_is_reported(self) -> None:
        with self.assertRaises(Invalid) as raised:
            self.check("debian+small", {"size": 1, "release": "trixie", "color": "red"})
        message = "OS definition debian has no such parameter; known are: Release, arch"
        expected = (Problem("osparams/color", message), Problem("osparams/size", message))
        self.assertEqual(raised.exception.problems, expected)

    def test_names_of_parameters_are_case_insensitive(self) -> None:
        self.assertEqual(unknown_parameters(DEBIAN, ["RELEASE", "Arch"], "osparams"), [])

    def test_a_definition_without_declared_parameters_accepts_all(self) -> None:
        old = an_os("old", api_versions=(15,))
        self.assertEqual(unknown_parameters(old, ["size"], "osparams"), [])
        [problem] = unknown_parameters(an_os("noop"), ["size"], "path")
        self.assertIn("known are: none", str(problem))

    def test_values_are_checked_by_the_definition_on_the_node(self) -> None:
        guest = a_guest("web1", os="debian+small", osparams={"release": "trixie"})
        query = make_os_query(guest, a_node("node1"), force_variant=True)
        osparams = {"release": "trixie"}
        expected = ValidateOS(os="debian+small", osparams=osparams, force_variant=True)
        self.assertEqual((query.nodes, query.call), ([a_node("node1")], expected))
