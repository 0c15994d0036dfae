# SPDX-License-Identifier: BSD-2-Clause
"""A configuration that cannot be read is refused with everything that is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.errors import Invalid, Refused
from ganeti.testing.builders import a_cluster, an_instance, uuid_of

GOOD = ConfigDataEncoder().text(a_cluster(instances=["web1"]))


def wrong(document: Any) -> str:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    try:
        loaded(text, ids=lambda: "new")
    except Invalid as e:
        return str(e)
    return ""


class LoadedTests(SynchronousTestCase):
    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(loaded(GOOD, ids=lambda: "new"), a_cluster(instances=["web1"]))

    def test_a_torn_file_says_where_to_get_another(self) -> None:
        self.assertIn("config.data is damaged", wrong(GOOD[:-20]))
        self.assertIn("copy it from another master candidate or a backup", wrong(b""))
        self.assertIn("damaged", wrong(b'{"\xff'))

    def test_what_is_no_configuration_is_told(self) -> None:
        documents: tuple[Any, ...] = ([], None, 7, {}, {"version": "3"})
        for document in documents:
            self.assertIn("not a config.data file", wrong(document))

    def test_a_version_that_cannot_be_read_says_what_to_do(self) -> None:
        self.assertEqual(
            wrong({"version": 2180000}),
            "config.data has version 2.18; this software reads 2.2, 2.7, 2.8, 2.9, 2.10, "
            "2.11, 2.12, 2.13, 2.14, 2.15, 2.16, 3.0, 3.1; "
            "upgrade it to 3.0 with the software that wrote it",
        )

    def test_an_old_file_that_is_none_is_told(self) -> None:
        self.assertIn(
            "does not have the form of version 2.2", wrong({"version": 2020000, "nodes": 7})
        )

    def test_every_problem_is_told_with_its_place(self) -> None:
        document = json.loads(GOOD)
        document["cluster"]["colour"] = "red"
        document["cluster"]["max_running_jobs"] = "many"
        web, node = uuid_of("instance", "web1"), uuid_of("node", "node1")
        document["instances"][web]["admin_state"] = "sideways"
        document["instances"][web]["nics"][0]["mac"] = 7
        del document["nodes"][node]["primary_ip"]
        found = wrong(document)
        for part in (
            "cluster/max_running_jobs: must be a whole number, not text",
            "cluster/colour: unknown parameter",
            f"instances/{web}/admin_state: ",
            f"instances/{web}/nics[0].mac: must be text, not a whole number",
            f"nodes/{node}/primary_ip: is required",
        ):
            self.assertIn(part, found)

    def test_text_of_several_lines_is_told_by_its_place(self) -> None:
        document = json.loads(GOOD)
        web = uuid_of("instance", "web1")
        document["cluster"]["file_storage_dir"] = "/srv\n/etc"
        document["cluster"]["osparams"] = {"noop": {"url": "http://x\0"}}
        document["instances"][web]["name"] = "web1\nweb2"
        found = wrong(document)
        for part in (
            "cluster/file_storage_dir",
            "cluster/osparams.noop.url",
            f"instances/{web}/name",
        ):
            self.assertIn(f"{part}: must be one line of text without control characters", found)

    def test_an_object_under_another_uuid_is_told(self) -> None:
        document = json.loads(GOOD)
        document["instances"]["x"] = document["instances"].pop(uuid_of("instance", "web1"))
        self.assertIn("instances/x: contains the object", wrong(document))

    def test_two_of_one_name_are_refused(self) -> None:
        document = json.loads(GOOD)
        twin = an_instance("web1", uuid="x").instance
        [web] = document["instances"].values()
        document["instances"]["x"] = {**web, "uuid": twin.uuid}
        with self.assertRaisesRegex(Refused, "instance web1 already exists"):
            loaded(json.dumps(document).encode(), ids=lambda: "new")
