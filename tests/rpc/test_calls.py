# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections import Counter
from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti import rpc
from ganeti.rpc.call import WHILE_ALIVE, Call, answer_type
from ganeti.rpc.disks import CreateDisk, GrowDisk, RemoveDisk, RenameDisk, SnapshotDisk, WipeDisk
from ganeti.rpc.instances import InstallOS, RenameOS
from ganeti.rpc.transfers import FinalizeExport, RemoveExport


def declared() -> list[type[Call[Any]]]:
    """Every call that is declared in ``ganeti.rpc``."""
    for module in iter_modules(rpc.__path__, "ganeti.rpc."):
        import_module(module.name)
    return [call for call in Call.__subclasses__() if call.__module__.startswith("ganeti.rpc.")]


class DeclarationTests(SynchronousTestCase):
    def test_every_call_has_a_name_of_its_own(self) -> None:
        self.assertEqual(set(Counter(call.wire for call in declared()).values()), {1})

    def test_every_call_says_what_it_answers_and_what_it_means(self) -> None:
        for call in declared():
            answer_type(call)
            self.assertTrue(call.__doc__)

    def test_a_call_that_says_how_long_it_takes_is_not_cut_off_before(self) -> None:
        lasting = [
            (call, field)
            for call in declared()
            for field in ("timeout", "duration")
            if field in call.__struct_fields__
        ]
        self.assertGreaterEqual(len(lasting), 4)
        for call, field in lasting:
            asked: Any = SimpleNamespace(**{field: 7200.0}, patience=call.patience)
            timeout = call.answer_timeout(asked)
            self.assertTrue(timeout is None or timeout > 7200.0, call.__name__)

    def test_work_on_data_of_any_size_is_bounded_by_signs_of_life_only(self) -> None:
        bounded = {call.__name__ for call in declared() if call.patience is not WHILE_ALIVE}
        work = (InstallOS, RenameOS, CreateDisk, RemoveDisk, GrowDisk, WipeDisk, SnapshotDisk)
        for call in (*work, RenameDisk, FinalizeExport, RemoveExport):
            self.assertNotIn(call.__name__, bounded)
