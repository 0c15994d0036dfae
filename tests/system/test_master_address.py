# SPDX-License-Identifier: BSD-2-Clause
"""The address of the cluster on a real device, in a network namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.system.running import eventually
from tools.quickstart.place import TREE

PROGRAM = """
import json, os, subprocess, sys
import msgspec
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from ganeti.node.master_address import MasterAddress
from ganeti.node.master_address_script import MasterAddressScript
from ganeti.rpc.master_address import BY_GANETI, HoldMasterAddress, ReleaseMasterAddress
from ganeti.system.arp import announce
from ganeti.system.processes import LocalProcesses
from ganeti.system.state_files import LocalStateFiles

where = dict(address=sys.argv[1], netmask=int(sys.argv[2]), device="dev0")
if "script" in sys.argv:
    where["by_script"] = True
processes = LocalProcesses(reactor, reactor)
records = LocalStateFiles(f"{os.environ['FOLDER']}/records")
script = MasterAddressScript(processes, records, reactor, f"{os.environ['FOLDER']}/setup")
address = MasterAddress(processes, announce, script, records)
if "ganeti" in sys.argv:
    records.put(BY_GANETI, msgspec.json.encode(ReleaseMasterAddress(**where)))
    subprocess.run(
        ["ip", "address", "add", f"{sys.argv[1]}/{sys.argv[2]}", "dev", "dev0", "label", "dev0:0"]
    )


def show():
    shown = subprocess.run(["ip", "-j", "address", "show", "dev", "dev0"], capture_output=True)
    [device] = json.loads(shown.stdout)
    return {each["local"]: each["valid_life_time"] for each in device["addr_info"]}

async def main():
    found = [await address.hold_address(HoldMasterAddress(lifetime=30, **where)), show()]
    if "release" in sys.argv:
        await address.release_address(ReleaseMasterAddress(**where))
        found.append(show())
    print(json.dumps(found), flush=True)
    if "wait" in sys.argv:
        await address.hold_address(HoldMasterAddress(lifetime=1, **where))
        print("held", flush=True)
        sys.stdin.readline()
        print(json.dumps(show()))
    reactor.stop()

def failed(failure):
    failure.printTraceback()
    reactor.stop()

reactor.callWhenRunning(lambda: ensureDeferred(main()).addErrback(failed))
reactor.run()
"""
SET_UP = (
    "ip link add dev0 type veth peer name dev1; ip link set dev0 up; ip link set dev1 up;"
    " ip address add 192.0.2.9/24 dev dev0; "
)


SCRIPT = """#!/bin/sh -e
[ "$CLUSTER_IP_VERSION" = 4 ]
case $1 in
  start) ip address add "$MASTER_IP/$MASTER_NETMASK" dev "$MASTER_NETDEV" ;;
  stop) ip address delete "$MASTER_IP/$MASTER_NETMASK" dev "$MASTER_NETDEV" ;;
esac
"""


class MasterAddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        if os.getuid() != 0 or shutil.which("unshare") is None:
            self.skipTest("network namespaces need root and unshare")
        if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
            self.skipTest("this host has no network namespaces")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = f'{SET_UP} exec "$@"'
        return subprocess.Popen(
            ["unshare", "--net", "sh", "-c", command, "sh", sys.executable, "-c", PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": str(TREE), "FOLDER": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run_program(self, *words: str) -> list[Any]:
        said, _ = self.begin(*words).communicate(timeout=60)
        found: list[Any] = json.loads(said)
        return found

    def test_the_address_is_held_for_a_while_and_given_up(self) -> None:
        held, during, after = self.run_program("192.0.2.200", "32", "release")
        self.assertTrue(held)
        self.assertIn(during["192.0.2.200"], (29, 30))
        self.assertEqual(set(after), set(during) - {"192.0.2.200"})

    def test_an_address_of_ipv6_is_held_as_well(self) -> None:
        held, during = self.run_program("2001:db8::200", "128")
        self.assertTrue(held)
        self.assertIn("2001:db8::200", during)

    def test_an_address_that_the_host_has_anyway_is_left_to_it(self) -> None:
        held, during, after = self.run_program("192.0.2.9", "24", "release")
        self.assertFalse(held)
        self.assertEqual(during, after)

    def test_the_address_that_ganeti_has_left_is_held_and_given_up(self) -> None:
        held, during, after = self.run_program("192.0.2.200", "32", "ganeti", "release")
        self.assertTrue(held)
        self.assertIn(during["192.0.2.200"], (29, 30))
        self.assertEqual(set(after), set(during) - {"192.0.2.200"})
        self.assertEqual(list((self.folder / "records").iterdir()), [])

    def test_a_program_of_the_administrator_may_configure_it(self) -> None:
        script = self.folder / "setup"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        held, during, after = self.run_program("192.0.2.200", "32", "script", "release")
        self.assertTrue(held)
        self.assertGreater(during["192.0.2.200"], 1 << 30)  # without an end
        self.assertEqual(set(after), set(during) - {"192.0.2.200"})
        self.assertEqual(list((self.folder / "records").iterdir()), [])

    def test_the_kernel_removes_an_address_that_nobody_renews(self) -> None:
        program = self.begin("192.0.2.200", "32", "wait")
        assert program.stdin is not None
        assert program.stdout is not None
        self.assertIn("192.0.2.200", program.stdout.readline())
        self.assertEqual(program.stdout.readline(), "held\n")
        space = ["nsenter", f"--net=/proc/{program.pid}/ns/net", "ip", "address", "show"]

        def is_gone() -> bool:
            done = subprocess.run(space, capture_output=True, text=True)
            return done.returncode == 0 and "192.0.2.200" not in done.stdout

        eventually(is_gone)
        program.communicate("\n", timeout=60)
