# SPDX-License-Identifier: BSD-2-Clause
"""Keys of parameters, and their values, are completed one after the other."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.completion.parameter_keys import PARAMETERS, key_words


def words(keys: str, text: str, *, idents: bool = False) -> list[str]:
    return [word for word, _ in key_words(keys, text, idents) if word.startswith(text)]


class KeyTests(SynchronousTestCase):
    def test_keys_follow_from_the_parameters(self) -> None:
        self.assertEqual(words("backend", "v"), ["vcpus="])

    def test_a_key_that_is_given_is_not_offered_again(self) -> None:
        self.assertEqual(words("backend", "vcpus=1,v"), [])
        self.assertEqual(words("backend", "vcpus=1,mi"), ["vcpus=1,minmem="])

    def test_values_are_completed_where_they_can_be_listed(self) -> None:
        self.assertEqual(
            words("backend", "auto_balance="),
            [
                "auto_balance=true",
                "auto_balance=false",
            ],
        )
        self.assertEqual(words("backend", "vcpus="), [])
        self.assertEqual(words("nic", "mode=b"), ["mode=bridged"])

    def test_a_name_comes_first_where_parameters_belong_to_one(self) -> None:
        self.assertEqual(words("hypervisor", "", idents=True), ["fake:", "kvm:"])
        self.assertEqual(words("hypervisor", "kvm:acp", idents=True), ["kvm:acpi="])
        self.assertEqual(words("hypervisor", "fake:", idents=True), ["fake:migration_mode="])
        self.assertEqual(words("disk", "dr", idents=True), ["drbd:"])
        self.assertIn("drbd:resync-rate=", words("disk", "drbd:", idents=True))

    def test_without_a_name_the_keys_of_all_hypervisors_are_offered(self) -> None:
        self.assertEqual(words("hypervisor", "acp"), ["acpi="])

    def test_devices_have_numbers_and_settings(self) -> None:
        self.assertEqual(words("disk-device", "", idents=True), ["0:", "1:"])
        self.assertEqual(words("nic-change", "re", idents=True), ["remove:"])
        self.assertEqual(words("disk-change", "add:si", idents=True), ["add:size="])

    def test_nonsense_has_no_candidates(self) -> None:
        for keys in PARAMETERS:
            for text in ("=", ":,:", "x:y=z", ",,,"):
                for idents in (False, True):
                    key_words(keys, text, idents)
        self.assertEqual(words("disk", "rhubarb:", idents=True), [])
