# SPDX-License-Identifier: BSD-2-Clause
"""Every opcode has the names, types and defaults that clients of Ganeti 3.0 know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import OPCODES
from ganeti.opcodes.writing import Secrecy, get_secrecy
from ganeti.schema.parameters import parameters
from ganeti.schema.types import Value

GOLDEN = Path(__file__).parent.parent / "golden" / "data" / "opcodes.json"
FACTS = json.loads(GOLDEN.read_text())
OUR_CHOICES = {"NicParamKey": ("anti_spoofing", "bandwidth_in", "bandwidth_out", "firewall")}
CHOICES: dict[frozenset[str], str] = {
    frozenset([*words, *OUR_CHOICES.get(name, ())]): name
    for name, words in FACTS["choices"].items()
}
ANY = inspect.type_info(Value)
GENERIC = {each.name for each in parameters(Opcode)}

OURS = {
    "OP_CLUSTER_RENEW_CRYPTO": {"cluster_certificate", "shared_secrets"},
    "OP_INSTANCE_CREATE": {"src_backup"},
}
"""Parameters that clients of Ganeti do not know; none is required."""

OUR_OPCODES = (
    *("OP_ACCESS_", "OP_CLUSTER_BALANCE", "OP_CLUSTER_CAPACITY", "OP_NOTIFICATION_"),
    "OP_IMAGE_",
    *("OP_CLUSTER_REHEARSE_FAILURE", "OP_CLUSTER_SET_FAILOVER", "OP_CLUSTER_SURVIVE"),
    *("OP_INSTANCE_SET_FAILOVER", "OP_NODE_CONFIRM_OFF", "OP_NODE_SET_MAINTENANCE"),
    *("OP_CLUSTER_UPGRADE", "OP_INSTANCE_CLONE", "OP_INSTANCE_SNAPSHOT_", "OP_NODE_UPGRADE"),
    *("OP_BACKUP_CREATE", "OP_BACKUP_DELETE", "OP_BACKUP_PRUNE", "OP_BACKUP_REPOSITORY_"),
    *("OP_BACKUP_RESTORE", "OP_BACKUP_SCHEDULE_", "OP_BACKUP_VERIFY"),
)
"""What begins the names of opcodes that clients of Ganeti do not know."""

NARROWER = {
    # Opcodes that are read as such at once, not when their job runs.
    ("list<any>", "list<CreateInstance>"),
    ("RecreateDisksInfo", "list<any>"),
    ("nestr|list", "list<any>|nestr"),
    ("DiskParams", "dict<nestr,null|int|str>"),
    # Ours have numbers and truth values.
    ("NicParams", "dict<enum:NicParamKey,null|bool|int|str>"),
    ("mods<NicParams>", "list<list<any>>"),
    ("mods<DiskParams>", "list<list<any>>"),
    ("ipv4_cidr", "nestr"),
    ("ipv4_addr", "nestr"),
    ("ipv6_cidr", "nestr"),
    ("ipv6_addr", "nestr"),
}


class DeclaredTests(SynchronousTestCase):
    maxDiff = None

    def test_every_opcode_is_there(self) -> None:
        known = [name for name in OPCODES if not name.startswith(OUR_OPCODES)]
        self.assertEqual(known, sorted(FACTS["opcodes"]))

    def test_parameters_are_those_that_clients_know(self) -> None:
        for name, facts in FACTS["opcodes"].items():
            declared = {each.name: each for each in parameters(OPCODES[name])}
            expected = {each[0]: each[1:] for each in facts["params"]}
            self.assertEqual(set(declared) - GENERIC - OURS.get(name, set()), set(expected), name)
            for parameter, [kind, *default] in expected.items():
                found = declared[parameter]
                where = f"{name}.{parameter}"
                self.assertEqual(found.required, not default, where)
                if default:
                    self.assertEqual(json.loads(json.dumps(found.default)), default[0], where)
                self.assertTrue(alike(kind, written(found.type)), f"{where}: {written(found.type)}")

    def test_summaries_are_about_what_clients_know(self) -> None:
        self.assertEqual(
            {name: OPCODES[name].summary_field for name in FACTS["opcodes"]},
            {name: facts["summary_field"] for name, facts in FACTS["opcodes"].items()},
        )

    def test_every_opcode_and_parameter_says_what_it_means(self) -> None:
        for name, kind in OPCODES.items():
            self.assertTrue((kind.__doc__ or "").endswith("."), name)
            for each in parameters(kind):
                self.assertGreater(len(each.doc), 8, f"{name}.{each.name}")

    def test_hidden_parameters_are_those_that_clients_know(self) -> None:
        for name, facts in FACTS["opcodes"].items():
            hidden = {each[0]: marked(each[1]) for each in facts["params"] if marked(each[1])}
            self.assertEqual(get_secrecy(OPCODES[name]), hidden, name)


def marked(kind: str) -> Secrecy | None:
    return next((how for how in Secrecy if f"{how.value}<" in kind), None)


def alike(expected: str, found: str) -> bool:
    """Whether what is accepted is what the facts say, or one of the known narrowings."""
    for how in Secrecy:
        expected = expected.replace(f"{how.value}<any>", "any")
    expected = expected.replace("set<", "list<").replace("dict<any,", "dict<str,")
    accepted = {expected, *(expected.replace(wide, narrow) for wide, narrow in NARROWER)}
    return bare(found) in map(bare, accepted)


def bare(kind: str) -> str:
    return kind.removeprefix("null|").replace("nestr", "str")


def written(kind: inspect.Type) -> str:
    """A type in the language of the facts."""
    if kind == ANY:
        return "any"
    match kind:
        case inspect.Metadata(type=inner):
            return written(inner)
        case inspect.StrType(min_length=least):
            return "nestr" if least else "str"
        case inspect.IntType(ge=0, lt=16):
            return "disk_index"
        case inspect.IntType(ge=0 | 1 as least):
            return ("int>=0", "int>0")[least]
        case inspect.IntType():
            return "int"
        case inspect.EnumType(cls=choices):
            return "enum:" + CHOICES[frozenset(map(str, choices))]
        case inspect.LiteralType(values=words):
            return "enum:" + CHOICES[frozenset(map(str, words))]
        case inspect.DictType(key_type=key, value_type=value):
            return f"dict<{written(key)},{written(value)}>"
        case inspect.VarTupleType(item_type=item):
            return f"list<{written(item)}>"
        case inspect.TupleType(item_types=items):
            return f"tuple<{','.join(map(written, items))}>"
        case inspect.StructType(cls=record):
            return str(record.__name__)
        case inspect.UnionType(types=members):
            return "|".join(sorted(map(written, members), key=lambda word: (word != "null", word)))
        case inspect.NoneType():
            return "null"
    names: dict[type[Any], str] = {
        inspect.AnyType: "any",
        inspect.BoolType: "bool",
        inspect.FloatType: "float",
    }
    return names[type(kind)]
