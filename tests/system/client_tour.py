# SPDX-License-Identifier: BSD-2-Clause
"""A tour of a cluster with a client library: the other project's, or ours, which is called alike.

Run by an interpreter that finds only one of them, in the environment that the quick start gives.
Each step that worked is a line; so is what did not, and the next step has its chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

# By name: the two are called alike, and type checkers know only one.
rapi: Any = import_module("ganeti.rapi.client")

CREATION = {
    "os": "mini",
    "name_check": False,
    "ip_check": False,
    "beparams": {"memory": 32, "vcpus": 1},
}


def connected() -> Any:
    """A client of the cluster, made as each library wants it."""
    address = urlsplit(os.environ["RAPI_URL"])
    login = {"username": os.environ["RAPI_USER"], "password": os.environ["RAPI_PASSWORD"]}
    authority = os.environ["RAPI_CA"]
    if hasattr(rapi, "GenericCurlConfig"):
        trust = {"curl_config_fn": rapi.GenericCurlConfig(cafile=authority)}
    else:
        trust = {"cafile": authority}
    return rapi.GanetiRapiClient(address.hostname, port=address.port, **login, **trust)


class Tour:
    """What is done in which order; a method is a step, and raises if it does not work."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.nodes: list[str] = client.GetNodes()

    def done(self, job: Any) -> Any:
        """The result of a job's last opcode, once it has ended well; of the jobs in it, too."""
        client = self.client
        assert client.WaitForJobCompletion(job, period=0.05, retries=1200), client.GetJobStatus(job)
        result = client.GetJobStatus(job)["opresult"][-1]
        if isinstance(result, dict) and set(result) == {"jobs"}:
            for taken, number in result["jobs"]:
                assert taken, number
                self.done(number)
        return result

    def told(self, name: str = "tour1") -> Any:
        return self.client.GetInstance(name)

    def where(self, name: str = "tour1") -> tuple[str, list[str]]:
        told = self.told(name)
        return told["pnode"], told["snodes"]

    def features(self) -> None:
        assert self.client.GetVersion() == 2
        assert "instance-create-reqv1" in self.client.GetFeatures()
        assert self.client.GetInfo()["master"] == self.nodes[0]
        assert "mini" in self.client.GetOperatingSystems()

    def create(self) -> None:
        first, second, _ = self.nodes
        disks = [{"size": 16}, {"size": 8}]
        more = {**CREATION, "pnode": first, "snode": second}
        job = self.client.CreateInstance("create", "tour1", "drbd", disks, [{}], **more)
        assert self.done(job) == [first, second]

    def look(self) -> None:
        assert "tour1" in self.client.GetInstances()
        [row] = [e for e in self.client.GetInstances(bulk=True) if e["name"] == "tour1"]
        assert row == self.told()
        assert row["status"] == "running"
        result = self.done(self.client.GetInstanceInfo("tour1", static=True))
        assert result["tour1"]["config_state"] == "up"
        assert self.client.GetNode(self.nodes[0])["role"] == "M"
        assert len(self.client.GetNodes(bulk=True)) == 3
        assert self.client.GetGroups() == ["default"]

    def modify_tags(self) -> None:
        client, node = self.client, self.nodes[1]
        for add, get, remove in (
            (
                lambda tags: client.AddInstanceTags("tour1", tags),
                lambda: client.GetInstanceTags("tour1"),
                lambda tags: client.DeleteInstanceTags("tour1", tags),
            ),
            (
                lambda tags: client.AddNodeTags(node, tags),
                lambda: client.GetNodeTags(node),
                lambda tags: client.DeleteNodeTags(node, tags),
            ),
            (client.AddClusterTags, client.GetClusterTags, client.DeleteClusterTags),
        ):
            self.done(add(["one", "two"]))
            assert sorted(get()) == ["one", "two"], get()
            self.done(remove(["one"]))
            assert get() == ["two"], get()

    def stop(self) -> None:
        self.done(self.client.ShutdownInstance("tour1"))
        assert self.told()["status"] == "ADMIN_down"

    def start(self) -> None:
        self.done(self.client.StartupInstance("tour1"))
        assert self.told()["status"] == "running"

    def reboot(self) -> None:
        self.done(self.client.RebootInstance("tour1", reboot_type="hard", ignore_secondaries=False))
        assert self.told()["status"] == "running"

    def reinstall(self) -> None:
        self.done(self.client.ReinstallInstance("tour1", os="mini", no_startup=True))
        assert self.told()["status"] == "ADMIN_down"
        self.done(self.client.ReinstallInstance("tour1"))
        assert self.told()["status"] == "running"

    def modify(self) -> None:
        self.done(self.client.ModifyInstance("tour1", beparams={"vcpus": 2}))
        assert self.told()["beparams"]["vcpus"] == 2
        self.done(self.client.GrowInstanceDisk("tour1", 1, 8))
        assert self.told()["disk.sizes"] == [16, 16]

    def migrate(self) -> None:
        first, second, _ = self.nodes
        self.done(self.client.MigrateInstance("tour1", mode="live"))
        assert self.where() == (second, [first])
        self.done(self.client.FailoverInstance("tour1"))
        assert self.where() == (first, [second])
        assert self.told()["status"] == "running"

    def replace_disks(self) -> None:
        first, second, third = self.nodes
        client = self.client
        self.done(client.ReplaceInstanceDisks("tour1", disks=[0, 1], mode="replace_on_primary"))
        self.done(client.ReplaceInstanceDisks("tour1", mode="replace_on_secondary"))
        self.done(client.ReplaceInstanceDisks("tour1"))
        mode = "replace_new_secondary"
        self.done(client.ReplaceInstanceDisks("tour1", mode=mode, remote_node=third))
        assert self.where() == (first, [third])
        self.done(client.ReplaceInstanceDisks("tour1", mode=mode, iallocator="."))
        assert self.where() == (first, [second])

    def activate_disks(self) -> None:
        self.done(self.client.ShutdownInstance("tour1"))
        rows = self.done(self.client.ActivateInstanceDisks("tour1", ignore_size=True))
        assert [row[:2] for row in rows] == [[self.nodes[0], f"disk/{n}"] for n in (0, 1)]
        self.done(self.client.DeactivateInstanceDisks("tour1"))
        self.done(self.client.StartupInstance("tour1"))

    def export(self) -> None:
        self.done(self.client.PrepareExport("tour1", "local"))
        result = self.done(self.client.ExportInstance("tour1", "local", self.nodes[2], True))
        assert result == [True, [True, True]], result

    def import_(self) -> None:
        more = {**CREATION, "src_node": self.nodes[2], "src_path": "tour1", "pnode": self.nodes[1]}
        disks = [{"size": 16}, {"size": 16}]
        self.done(self.client.CreateInstance("import", "tour2", "file", disks, [{}], **more))
        assert self.told("tour2")["status"] == "running"
        self.done(self.client.DeleteInstance("tour2"))

    def evacuate(self) -> None:
        first, second, third = self.nodes
        self.done(self.client.EvacuateNode(second, remote_node=third, mode="secondary-only"))
        assert self.where() == (first, [third])
        self.done(self.client.EvacuateNode(third, iallocator=".", mode="secondary-only"))
        assert self.where() == (first, [second])

    def migrate_node(self) -> None:
        first, second, _ = self.nodes
        self.done(self.client.MigrateNode(first, mode="live"))
        assert self.where() == (second, [first])

    def change_roles(self) -> None:
        client, node = self.client, self.nodes[2]
        assert client.GetNodeRole(self.nodes[0]) == "master"
        for role in ("drained", "offline", "regular", "master-candidate"):
            self.done(client.SetNodeRole(node, role, force=True))
            assert client.GetNodeRole(node) == role

    def storage(self) -> None:
        client, node = self.client, self.nodes[2]
        for kind in ("file", "lvm-pv", "lvm-vg"):
            [row, *_] = self.done(client.GetNodeStorageUnits(node, kind, "name,size"))
            assert row[1] > 0, row
        devices = "name,allocatable"
        name = "/dev/pretend2"
        self.done(client.ModifyNodeStorageUnits(node, "lvm-pv", name, allocatable=False))
        assert [name, False] in self.done(client.GetNodeStorageUnits(node, "lvm-pv", devices))
        self.done(client.RepairNodeStorageUnits(node, "lvm-vg", "pretend"))

    def jobs(self) -> None:
        client = self.client
        numbers = client.GetJobs()
        assert numbers, numbers
        assert [each["id"] for each in client.GetJobs(bulk=True)] == numbers
        job = client.RedistributeConfig()
        known = None
        for _ in range(100):
            change = client.WaitForJobChange(job, ["status"], known, None)
            if change is not None:
                known = change["job_info"]
            if known == ["success"]:
                break
        assert known == ["success"], known
        assert client.CancelJob(job)[0] is False

    def filters(self) -> None:
        client = self.client
        setting = [["opcode", ["=", "OP_ID", "OP_TAGS_SET"]]]
        uuid = client.AddFilter(3, setting, "PAUSE")
        assert uuid in client.GetFilters(), client.GetFilters()
        held = client.AddClusterTags(["tour"])
        assert client.GetJobStatus(held)["status"] == "queued", client.GetJobStatus(held)
        assert client.ReplaceFilter(uuid, 4, setting, ["RATE_LIMIT", 1]) == uuid
        self.done(held)
        rule = client.GetFilter(uuid)
        assert (rule["priority"], rule["action"]) == (4, ["RATE_LIMIT", 1]), rule
        assert rule in client.GetFilters(bulk=True), rule
        client.DeleteFilter(uuid)
        assert uuid not in client.GetFilters()
        self.done(client.DeleteClusterTags(["tour"]))

    def questions(self) -> None:
        answer = self.client.Query("instance", ["name"], ["=", "name", "tour1"])
        assert answer["data"] == [[[0, "tour1"]]], answer
        fields = self.client.QueryFields("node", ["name"])["fields"]
        assert [field["name"] for field in fields] == ["name"]

    def console(self) -> None:
        assert self.client.GetInstanceConsole("tour1")["instance"] == "tour1"

    def rename(self) -> None:
        self.done(self.client.ShutdownInstance("tour1"))
        more = {"ip_check": False, "name_check": False}
        self.done(self.client.RenameInstance("tour1", "tour3", **more))
        assert self.told("tour3")["status"] == "ADMIN_down"

    def errors(self) -> None:
        try:
            self.client.GetInstance("nobody")
        except rapi.GanetiApiError as e:
            assert e.code == 404, e
        else:
            raise AssertionError("there is an instance nobody")

    def remove(self) -> None:
        self.done(self.client.DeleteInstance("tour3"))
        assert "tour3" not in self.client.GetInstances()

    STEPS: tuple[Callable[[Tour], None], ...] = (
        *(features, create, look, modify_tags, stop, start, reboot, reinstall, modify, migrate),
        *(replace_disks, activate_disks, export, import_, evacuate, migrate_node, change_roles),
        *(storage, jobs, filters, questions, console, rename, errors, remove),
    )


def main() -> None:
    """Do every step, and print what became of it."""
    tour = Tour(connected())
    for step in Tour.STEPS:
        try:
            step(tour)
        except Exception as e:
            print(f"{step.__name__}: {type(e).__name__}: {e}")
        else:
            print(f"{step.__name__} works")


if __name__ == "__main__":
    main()
