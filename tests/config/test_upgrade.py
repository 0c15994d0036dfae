# SPDX-License-Identifier: BSD-2-Clause
"""A configuration file is brought to the present format, with defaults for what it lacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.upgrade import STEPS, upgraded
from ganeti.errors import Invalid
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.disk import Template
from ganeti.testing.builders import a_cluster, a_disk, an_instance, uuid_of

WEB1 = uuid_of("instance", "web1")
DISK0 = uuid_of("disk", "disk0")


def a_document() -> dict[str, Any]:
    """A file of the present version: web1 with a mirrored disk."""
    disk = a_disk("disk0", Template.DRBD, nodes=("node1", "node2"))
    state = a_cluster(nodes=["node1", "node2"], instances=[an_instance("web1", disks=[disk])])
    document: dict[str, Any] = json.loads(ConfigDataEncoder().text(state))
    return document


def upgrade(document: object) -> dict[str, Any]:
    found: dict[str, Any] = upgraded(document, lambda: "new")
    return found


def refusal(document: object) -> str:
    try:
        upgraded(document, lambda: "new")
    except Invalid as e:
        return str(e)
    raise AssertionError("it was not refused")


class VersionTests(SynchronousTestCase):
    def test_what_has_no_version_is_no_configuration(self) -> None:
        documents: list[Any] = [None, [], "x", {}, {"version": None}, {"version": "3000000"}]
        for document in documents:
            self.assertEqual(refusal(document), "not a config.data file: it has no version number")

    def test_a_version_that_is_not_known_names_those_that_are(self) -> None:
        for version, name in ((2_060_000, "2.6"), (3_020_000, "3.2"), (0, "0.0")):
            said = refusal({"version": version})
            self.assertIn(f"config.data has version {name}; this software reads 2.2, 2.7, ", said)
            self.assertIn("upgrade it to 3.0 with the software that wrote it", said)

    def test_every_step_leads_to_a_version_that_can_be_read(self) -> None:
        for version in STEPS:
            seen = set[int]()
            while version != CONFIG_VERSION:
                self.assertNotIn(version, seen)
                seen.add(version)
                version, _ = STEPS[version]

    def test_a_file_of_another_form_than_its_version_says_so(self) -> None:
        contents: list[dict[str, Any]] = [{}, {"nodes": []}, {"cluster": None, "nodes": {}}]
        for content in contents:
            said = refusal({"version": 2_020_000, **content})
            self.assertIn("config.data does not have the form of version 2.2: ", said)
            self.assertTrue(said.endswith("; restore it from a backup"))

    def test_a_present_file_that_lacks_nothing_is_unchanged(self) -> None:
        document = a_document()
        self.assertEqual(upgrade(document), document)


class DefaultTests(SynchronousTestCase):
    def changed(self, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The upgrade of a file with a change."""
        document = a_document()
        change(document)
        return upgrade(document)

    def test_sections_that_are_missing_or_null_are_empty(self) -> None:
        found = self.changed(lambda d: (d.pop("networks"), d.update(filters=None)))
        self.assertEqual((found["networks"], found["filters"]), ({}, {}))

    def test_missing_and_null_fields_of_objects_get_defaults(self) -> None:
        def change(document: dict[str, Any]) -> None:
            web1 = document["instances"][WEB1]
            del web1["osparams_private"], web1["tags"]
            web1["admin_state_source"] = None

        web1 = self.changed(change)["instances"][WEB1]
        self.assertEqual(web1["osparams_private"], {})
        self.assertEqual((web1["tags"], web1["admin_state_source"]), ([], "admin"))

    def test_a_null_that_has_a_meaning_stays(self) -> None:
        found = self.changed(lambda d: d["instances"][WEB1].update(network_port=None))
        self.assertIsNone(found["instances"][WEB1]["network_port"])

    def test_disks_are_active_by_default_where_the_instance_is_up(self) -> None:
        for state, active in (("up", True), ("down", False), ("offline", False)):

            def change(document: dict[str, Any], state: str = state) -> None:
                web1 = document["instances"][WEB1]
                web1["admin_state"] = state
                del web1["disks_active"]

            self.assertIs(self.changed(change)["instances"][WEB1]["disks_active"], active)

    def test_parts_of_disks_get_what_disks_have(self) -> None:
        def change(document: dict[str, Any]) -> None:
            [data, meta] = document["disks"][DISK0]["children"]
            del data["mode"], data["uuid"]
            meta.clear()
            meta.update(dev_type="plain", size=128, logical_id=["vg0", "meta"])

        data, meta = self.changed(change)["disks"][DISK0]["children"]
        self.assertEqual((data["mode"], data["uuid"]), ("rw", ""))
        self.assertEqual((meta["children"], meta["iv_name"], meta["serial_no"]), ([], "", 1))

    def test_parameters_of_the_cluster_are_complete(self) -> None:
        def change(document: dict[str, Any]) -> None:
            cluster = document["cluster"]
            cluster["beparams"] = {"default": {"vcpus": 9}, "other": {}}
            cluster["ndparams"] = None
            del cluster["nicparams"]

        cluster = self.changed(change)["cluster"]
        default = cluster["beparams"]["default"]
        self.assertEqual((default["vcpus"], "maxmem" in default), (9, True))
        self.assertEqual(cluster["beparams"]["other"], {})
        self.assertIn("ssh_port", cluster["ndparams"])
        self.assertIn("mode", cluster["nicparams"]["default"])

    def test_an_incomplete_reservation_is_refused(self) -> None:
        document = a_document()
        document["instances"][WEB1] |= {"forthcoming": True, "hypervisor": None}
        said = refusal(document)
        self.assertIn(f"instances/{WEB1}: web1 is only reserved (forthcoming), without all", said)

    def test_what_a_reservation_may_lack_is_filled_in(self) -> None:
        def change(document: dict[str, Any]) -> None:
            held = document["instances"][WEB1]
            held["forthcoming"] = True
            del held["os"], held["admin_state"]

        held = self.changed(change)["instances"][WEB1]
        self.assertEqual((held["forthcoming"], held["os"], held["admin_state"]), (True, "", "down"))

    def test_that_something_is_not_reserved_is_not_kept(self) -> None:
        found = self.changed(lambda d: d["instances"][WEB1].update(forthcoming=False))
        self.assertNotIn("forthcoming", found["instances"][WEB1])

    def test_what_is_no_object_is_left_to_the_check_of_its_type(self) -> None:
        found = self.changed(lambda d: d["nodes"].update(x=7))
        self.assertEqual(found["nodes"]["x"], 7)


class NumberTests(SynchronousTestCase):
    def test_whole_numbers_are_whole_except_where_a_fraction_is_meant(self) -> None:
        document = a_document()
        document["serial_no"] = 7.0
        document["ctime"] = 5.0
        document["cluster"]["ipolicy"]["vcpu-ratio"] = 4.0
        document["instances"][WEB1]["hvparams"] = {"list": [1.0, 1.5], "kept": "1.0"}
        found = upgrade(document)
        numbers = found["serial_no"], found["ctime"], found["cluster"]["ipolicy"]["vcpu-ratio"]
        self.assertEqual([type(each) for each in numbers], [int, float, float])
        hvparams = found["instances"][WEB1]["hvparams"]
        self.assertEqual(str(hvparams), "{'list': [1, 1.5], 'kept': '1.0'}")
