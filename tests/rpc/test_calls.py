# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

from ganeti import rpc
from ganeti.rpc.call import NO_TIMEOUT, Call, get_answer_type
from ganeti.rpc.disks import (
    CreateDisk,
    GrowDiskCall,
    RemoveDisk,
    RenameDisk,
    SnapshotDisk,
    WipeDisk,
)
from ganeti.rpc.instances import InstallOS, RenameOS
from ganeti.rpc.node import RunHooks, RunRestrictedCommandCall
from ganeti.rpc.transfers import FinalizeExport, RemoveExportCall


def declared() -> list[type[Call[Any]]]:
    """Every call that is declared in ``ganeti.rpc``."""
    for module in iter_modules(rpc.__path__, "ganeti.rpc."):
        import_module(module.name)
    return [call for call in Call.__subclasses__() if call.__module__.startswith("ganeti.rpc.")]


ELSEWHERE = {
    "source.patience": "awaits a sender after the call was answered",
    "sink.patience": "connects to a receiver after the call was answered",
    "validity": "how long a certificate is valid",
    "backup.summary.duration": "how long the backup took, which is complete",
}
"""Durations in calls that do not make the answer late, by where they stand."""


def durations(record: Any, path: str = "") -> Iterator[str]:
    """Where durations stand in a call, also in the records in it."""
    information = inspect.type_info(record)
    assert isinstance(information, inspect.StructType)
    for field in information.fields:
        where = path + field.name
        if DURATION.search(field.name) and is_number(field.type):
            yield where
        for part in parts(field.type):
            yield from durations(part.cls, where + ".")


def is_number(found: inspect.Type) -> bool:
    return isinstance(plain(found), inspect.IntType | inspect.FloatType)


def plain(found: inspect.Type) -> inspect.Type:
    return plain(found.type) if isinstance(found, inspect.Metadata) else found


def parts(found: inspect.Type) -> Iterator[inspect.StructType]:
    """The records that a field may have as its value."""
    match plain(found):
        case inspect.StructType() as record:
            yield record
        case inspect.UnionType(types):
            for each in types:
                yield from parts(each)


DURATION = re.compile("timeout|duration|patience|validity|delay|wait|seconds|interval")


class DeclarationTests(SynchronousTestCase):
    def test_every_call_has_a_name_of_its_own(self) -> None:
        self.assertEqual(set(Counter(call.wire for call in declared()).values()), {1})

    def test_every_call_says_what_it_answers_and_what_it_means(self) -> None:
        for call in declared():
            get_answer_type(call)
            self.assertTrue(call.__doc__)

    def test_a_call_that_says_how_long_it_takes_is_not_cut_off_before(self) -> None:
        asked = {(call, path) for call in declared() for path in durations(call)}
        lasting = {(call, path) for call, path in asked if path not in ELSEWHERE}
        self.assertGreaterEqual(len(lasting), 4)
        self.assertEqual({path for _, path in asked} & ELSEWHERE.keys(), ELSEWHERE.keys())
        for call, field in lasting:
            long: Any = SimpleNamespace(**{field: 7200.0}, call_timeout=call.call_timeout)
            timeout = call.answer_timeout(long)
            self.assertTrue(timeout is None or timeout > 7200.0, f"{call.__name__}.{field}")

    def test_a_call_declares_nothing_that_is_not_read(self) -> None:
        for call in declared():
            settings = {name for name in vars(call) if not name.startswith("_")}
            known = {*call.__struct_fields__, *Call.__annotations__, *dir(Call)}
            self.assertEqual(settings - known, set(), call.__name__)

    def test_work_of_any_length_is_bounded_by_signs_of_life_only(self) -> None:
        bounded = {call.__name__ for call in declared() if call.call_timeout is not NO_TIMEOUT}
        work = (InstallOS, RenameOS, CreateDisk, RemoveDisk, GrowDiskCall, WipeDisk, SnapshotDisk)
        scripts = (RunHooks, RunRestrictedCommandCall)
        for call in (*work, *scripts, RenameDisk, FinalizeExport, RemoveExportCall):
            self.assertNotIn(call.__name__, bounded)
