# SPDX-License-Identifier: BSD-2-Clause
"""The web console of a real cluster, in a real browser.

``CONSOLE_SCREENSHOTS`` names a folder for pictures of its pages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.opcodes.instance.lifecycle import RebootInstance, RebootType
from ganeti.opcodes.instance.modify import ModifyInstance
from tests.system.linux import MINI, require_linux
from tests.system.openid_provider import let_eve_sign_in
from tests.system.prometheus import RunningPrometheus
from tests.system.running import TIMEOUT, RunningCluster, SharedCluster, eventually
from tools.quickstart.place import TREE

FOLDER = TREE / "ui"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def require_browser() -> str:
    """Return the path of a browser.

    :raises SkipTest: there is none, or nothing that drives it.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SkipTest("there is no chromium")
    if shutil.which("node") is None or not (FOLDER / "node_modules/playwright-core").is_dir():
        raise SkipTest("the libraries of the tests are not there: ui/fetch-libraries --dev")
    return found


def browse(
    running: RunningCluster, script: str, browser: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the browser tests in one file of ``ui/tests/browser``; ``more`` is environment."""
    cluster = running.cluster
    return subprocess.run(
        ["node", "--test", "--test-reporter=spec", f"tests/browser/{script}.test.js"],
        cwd=FOLDER,
        env={
            **os.environ,
            "CHROMIUM": browser,
            "CONSOLE_URL": f"{cluster.rapi}/ui/",
            "RAPI_USER": "quickstart",
            "RAPI_PASSWORD": Path(cluster.password_file).read_text().strip(),
            "PYTHONPATH": str(TREE),
            "QUICKSTART": json.dumps(running.command()),
            "INSTANCE": f"first.{running.name}",
            "SCREENSHOTS": os.environ.get("CONSOLE_SCREENSHOTS", ""),
            **more,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )


class ConsoleTests(SharedCluster):
    def setUp(self) -> None:
        self.browser = require_browser()
        super().setUp()

    def browse(self, script: str) -> None:
        done = browse(self.running, script, self.browser)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_overview_is_live(self) -> None:
        self.browse("overview")

    def test_the_overview_has_an_area_for_each_instance(self) -> None:
        self.browse("readme")

    def test_lists_are_filtered_and_stay_fluid(self) -> None:
        self.browse("lists")

    def test_actions_show_their_plan_and_their_job(self) -> None:
        self.browse("actions")

    def test_users_roles_tokens_and_sessions_are_seen_and_changed(self) -> None:
        self.browse("access")

    def test_notifications_are_added_tested_changed_and_removed(self) -> None:
        self.browse("notifications")

    def test_users_sign_in_by_an_openid_provider(self) -> None:
        let_eve_sign_in(self, self.running)
        self.addCleanup(self.running.tool, "access", "openid", "remove")
        self.browse("openid")

    def test_the_history_shows_who_changed_what(self) -> None:
        self.browse("history")

    def test_plots_of_days_come_from_prometheus(self) -> None:
        prometheus = RunningPrometheus(self.addCleanup, self.running)
        rapi, noded = self.running.daemon("rapi"), self.running.daemon("noded")
        for daemon, option in (
            (rapi, f"--prometheus={prometheus.address}"),
            (noded, "--metrics-guests"),
        ):
            self.running.kill(daemon.kind)
            daemon.start(option)
            self.addCleanup(daemon.start)
            self.addCleanup(self.running.kill, daemon.kind)
        eventually(lambda: prometheus.query("ganeti_guest_memory_used_bytes"))
        # The ring of a node daemon that has just been started is empty, and the newest point from
        # Prometheus is that of the last full minute.
        for when in ("", "?hours=24"):
            eventually(partial(self.has_usage, when), 2 * TIMEOUT)
        self.browse("plots")

    def has_usage(self, when: str) -> bool:
        _, answer = self.running.curl("GET", f"/2/nodes/node1.trial/usage{when}")
        memory = answer["series"]["memory"]
        return bool(memory) and memory[-1] is not None

    def test_pages_go_on_when_daemons_are_killed(self) -> None:
        self.browse("restart")


class GuestConsoleTests(SynchronousTestCase):
    """The consoles of guests that QEMU runs."""

    def test_consoles_are_used_in_a_browser(self) -> None:
        browser = require_browser()
        require_linux()
        running = RunningCluster(
            *("--hypervisor", "kvm", "--nodes", "2"),
            name="guests",
            more={"GANETI_MINI_GUEST": str(MINI)},
        )
        self.addCleanup(lambda: self.assertEqual(running.destroy(), []))
        folder = running.cluster.folder / "screens"
        folder.mkdir()
        discs = [folder / "one.iso", folder / "two.iso"]
        for disc in discs:
            disc.write_bytes(bytes(1 << 20))
        screens = {"vnc_bind_address": str(folder), "cdrom_image_path": str(discs[0])}
        name = "first.guests"
        # One after the other: jobs that are submitted together may run in any order.
        running.perform(ModifyInstance(instance_name=name, hvparams=screens))
        running.perform(RebootInstance(instance_name=name, reboot_type=RebootType.FULL))
        done = browse(running, "consoles", browser, OTHER_CD=str(discs[1]))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
