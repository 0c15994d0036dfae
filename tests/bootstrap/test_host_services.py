# SPDX-License-Identifier: BSD-2-Clause
"""The services of a host whose daemons are in an environment of Python."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.host_services import Environment, HostServices
from ganeti.errors import Refused
from tools.shared_data import TREE, make_services

PYTHON = "/opt/ganeti/bin/python3"
UNIT = "usr/local/lib/systemd/system/ganeti-noded.service"


class HostServicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        programs = self.root / "opt/ganeti/bin"
        programs.mkdir(parents=True)
        for name in ("gnt-node", "ganeti-noded", "move-instance", "python3", "twist"):
            (programs / name).touch()
        templates = self.root / "templates"
        make_services(templates)
        self.programs = str(programs)
        self.services = HostServices(
            Environment(PYTHON, self.programs, str(templates)), str(self.root)
        )

    def files(self) -> set[str]:
        folders = (self.root / "usr", self.root / "etc")
        return {
            str(path.relative_to(self.root))
            for folder in folders
            for path in folder.rglob("*")
            if not path.is_dir()
        }

    def test_units_start_the_programs_of_the_environment(self) -> None:
        self.services.install()
        unit = (self.root / UNIT).read_text()
        self.assertIn(f"ExecStart={self.programs}/ganeti-noded -f $NODED_ARGS", unit)
        self.assertIn("ConditionPathExists=/var/lib/ganeti/server.pem", unit)

    def test_no_marker_is_left_in_any_file(self) -> None:
        for path in self.services.install():
            if not os.path.islink(f"{self.root}{path}"):
                text = Path(f"{self.root}{path}").read_text()
                self.assertNotRegex(text, r"@[A-Za-z]+@", path)

    def test_all_templates_of_the_tree_have_a_place(self) -> None:
        self.services.install()
        names = {os.path.basename(path) for path in self.files()}
        for template in (TREE / "daemons/systemd").glob("*.in"):
            self.assertIn(template.name.removesuffix(".in"), names)
        self.assertEqual(
            {each.name for each in (self.root / "templates").glob("*.in")},
            {
                f"ganeti.{each}.in"
                for each in ["init", "cron", "logrotate", "modprobe", "sysusers", "tmpfiles"]
            }
            | {"daemon-util.in"},
        )

    def test_scripts_are_executable_and_other_files_are_not(self) -> None:
        self.services.install()
        for path, mode in (
            ("etc/init.d/ganeti", 0o755),
            ("usr/local/lib/ganeti/daemon-util", 0o755),
            (UNIT, 0o644),
            ("etc/cron.d/ganeti", 0o644),
        ):
            self.assertEqual(stat.S_IMODE((self.root / path).stat().st_mode), mode, path)

    def test_the_commands_are_linked_and_other_programs_are_not(self) -> None:
        self.services.install()
        links = {each.name: os.readlink(each) for each in (self.root / "usr/local/sbin").iterdir()}
        names = ("gnt-node", "ganeti-noded", "move-instance")
        self.assertEqual(links, {name: f"{self.programs}/{name}" for name in names})

    def test_a_repetition_changes_nothing_and_a_removal_leaves_nothing(self) -> None:
        self.services.install()
        before = self.files()
        self.services.install()
        self.assertEqual(self.files(), before)
        self.services.remove()
        self.assertEqual(self.files(), set())
        self.assertFalse((self.root / "usr/local/lib/ganeti").exists())
        self.assertEqual(self.services.remove(), [])

    def test_what_an_administrator_has_beside_it_stays(self) -> None:
        self.services.install()
        definition = self.root / "usr/local/lib/ganeti/os/own/create"
        definition.parent.mkdir(parents=True)
        definition.touch()
        self.services.remove()
        self.assertTrue(definition.exists())

    def test_a_link_to_another_environment_stays(self) -> None:
        self.services.install()
        other = self.root / "usr/local/sbin/gnt-node"
        other.unlink()
        other.symlink_to("/opt/other/bin/gnt-node")
        self.services.remove()
        self.assertEqual(self.files(), {"usr/local/sbin/gnt-node"})

    def test_the_units_that_systemd_starts_are_those_that_can_be_installed(self) -> None:
        enabled = self.services.list_enabled()
        self.assertIn("ganeti-watcher.timer", enabled)
        self.assertNotIn("ganeti-watcher.service", enabled)

    def test_it_is_refused_beside_packages_and_nothing_is_written(self) -> None:
        (self.root / "usr/sbin").mkdir(parents=True)
        (self.root / "usr/sbin/ganeti-noded").touch()
        with self.assertRaisesRegex(Refused, "apt-get remove ganeti-node"):
            self.services.install()
        self.assertEqual(self.files(), {"usr/sbin/ganeti-noded"})

    def test_the_services_of_a_node_are_not_removed(self) -> None:
        self.services.install()
        before = self.files()
        (self.root / "var/lib/ganeti").mkdir(parents=True)
        (self.root / "var/lib/ganeti/server.pem").touch()
        with self.assertRaisesRegex(Refused, "gnt-node remove, or gnt-cluster destroy"):
            self.services.remove()
        self.assertEqual(self.files(), before)

    def test_a_checkout_has_nothing_to_install(self) -> None:
        services = HostServices(Environment(PYTHON, self.programs, "/nowhere"), str(self.root))
        with self.assertRaisesRegex(Refused, "in a checkout, run make install"):
            services.install()
