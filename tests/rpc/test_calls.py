# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections import Counter
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti import rpc
from ganeti.rpc.call import Call, answer_type


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
