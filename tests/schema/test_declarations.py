# SPDX-License-Identifier: BSD-2-Clause
"""No field that clients, masters or imported files can fill takes what others cannot hold.

A line feed in a name would make two lines of it in a file with an item a line; NUL ends a text in
an environment; numbers of thousands of digits can be read and not be written again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import TYPES
from ganeti.errors import Invalid
from ganeti.luxi.methods import METHODS
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.opcodes.registry import OPCODES, read_opcode
from ganeti.rpc.call import get_answer_type
from ganeti.schema.types import RULES
from tests.rpc.test_calls import declared as calls

SEVERAL_LINES = {
    "OP_BACKUP_EXPORT.destination_x509_ca": "PEM; written to a file of its own",
    "OP_IMAGE_ADD.key": "ASCII armor; checked by the operation, written to a file of its own",
    "OP_INSTANCE_CREATE.source_x509_ca": "PEM; written to a file of its own",
    "OP_INSTANCE_MULTI_ALLOC.instances.source_x509_ca": "as with OP_INSTANCE_CREATE",
    "OP_NOTIFICATION_ADD.authority": "PEM; checked by the operation, kept in JSON",
    "OP_NOTIFICATION_SET_PARAMS.authority": "as with OP_NOTIFICATION_ADD",
    "OP_TEST_JQUEUE.log_messages": "kept in the job, as what programs say is",
    "authorities.certificates": "PEM; written to a file of their own",
    "backup_commit.backup.description": "a part of a file in JSON",
    "certificate_use.certificate": "PEM; written to a file of its own",
    "export_start.sink.trust.peer": "PEM; written to a file of its own",
    "finalize_export.description": "a whole file",
    "image_accept.key": "ASCII armor; written to a file of its own",
    "image_read_signed_checksum.key": "ASCII armor; written to a file of its own",
    "import_start.source.trust.peer": "PEM; written to a file of its own",
    "members_update.members.authorities": "PEM; written to a file of their own",
    "notification.authority": "PEM; kept in JSON",
    "spent-token.certificate": "PEM; sent to the node that it is for",
    "store_member_configure.authority": "PEM; written to a file of its own",
    "store_member_configure.certificate": "PEM; written to a file of its own",
    "write_ssconf_files.values": "whole files, whose items are checked where they are joined",
    **{f"{name}.comment": "kept in the job only" for name in OPCODES},
    "OP_INSTANCE_MULTI_ALLOC.instances.comment": "kept in the job only",
}
"""Text of several lines, which has no NUL, and why."""

ANYTHING = {
    "OP_QUERY.qfilter": "compared with values, and may nest deeper than values do",
    **{f"OP_TEST_DUMMY.{each}": "for tests; kept in the job only"
       for each in ("result", "messages", "fail", "submit_jobs")},
    "filter.predicates": "compared with jobs, and may nest deeper than values do",
    "filter.action": "one of a few words or a rate, which ganeti.master.filter_chain checks",
    "node_verify.what": "compared with what the node has, and never stored",
}  # fmt: skip
"""What has no type, and why."""

ELSEWHERE = {"journal_append", "journal_checkpoint", "journal_reset"}
"""Calls with frames and files in base64, which is checked where it is decoded."""


def fields_of(
    kind: Any, path: str, inside: tuple[Any, ...] = ()
) -> Iterator[tuple[str, inspect.Type]]:
    """Every simple type that a document of this kind can have, with the path of its field."""
    match kind:
        case inspect.StructType(cls=record, fields=fields) if record not in inside:
            for each in fields:
                yield from fields_of(each.type, f"{path}.{each.encode_name}", (*inside, record))
        case inspect.StructType():
            pass  # disks have disks inside
        case inspect.Metadata(type=inner):
            yield from fields_of(inner, path, inside)
        case inspect.UnionType(types=members) | inspect.TupleType(item_types=members):
            for member in members:
                yield from fields_of(member, path, inside)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            yield from fields_of(item, path, inside)
        case inspect.DictType(key_type=key, value_type=value):
            yield from fields_of(key, path, inside)
            yield from fields_of(value, path, inside)
        case inspect.Type():
            yield path, kind
        case _:
            yield from fields_of(inspect.type_info(kind), path, inside)


def filled_by_others() -> Iterator[tuple[str, inspect.Type]]:
    """The fields of opcodes, of what is stored, of calls to nodes, and of all parameters."""
    documents: list[tuple[str, Any]] = [*OPCODES.items(), *TYPES.items()]
    documents += [(call.wire, call) for call in calls() if call.wire not in ELSEWHERE]
    sets: tuple[Any, ...] = (*HYPERVISORS.values(), *DISKS.values(), NicParameters, NodeParameters)
    documents += [(kind.__name__, kind) for kind in sets]
    for name, kind in documents:
        yield from fields_of(kind, name)


def accepts(kind: inspect.StrType, text: str) -> bool:
    return kind.pattern is None or re.search(kind.pattern, text) is not None


class DeclarationTests(SynchronousTestCase):
    def test_text_is_one_line_where_nothing_else_is_said(self) -> None:
        several = set()
        for path, kind in filled_by_others():
            if not isinstance(kind, inspect.StrType):
                continue
            self.assertFalse(accepts(kind, "a\0b"), f"{path} takes NUL")
            if any(accepts(kind, text) for text in ("a\nb", "a\n", "/a\r", "\x7f", "\u2028")):
                several.add(path)
        self.assertEqual(several, set(SEVERAL_LINES))

    def test_every_pattern_of_what_users_send_is_explained_in_words(self) -> None:
        sent = [*OPCODES.items(), *METHODS.items()]
        for path, kind in (each for name, sort in sent for each in fields_of(sort, name)):
            if isinstance(kind, inspect.StrType) and kind.pattern is not None:
                self.assertIn(kind.pattern, RULES, path)

    def test_everything_has_a_type_where_nothing_else_is_said(self) -> None:
        untyped = {path for path, kind in filled_by_others() if isinstance(kind, inspect.AnyType)}
        self.assertEqual(untyped, set(ANYTHING))

    def test_numbers_have_bounds(self) -> None:
        asked = [(name, method) for name, method in METHODS.items()]
        answered = [(call.wire, get_answer_type(call)) for call in calls()]
        found = [
            *filled_by_others(),
            *(each for name, kind in (*asked, *answered) for each in fields_of(kind, name)),
        ]
        for path, kind in found:
            bounded = inspect.IntType | inspect.FloatType
            if isinstance(kind, bounded) and path.split(".")[0] not in ELSEWHERE:
                self.assertTrue(kind.ge is not None or kind.gt is not None, path)
                self.assertTrue(kind.le is not None or kind.lt is not None, path)

    def test_parameters_are_refused_however_deep_they_are(self) -> None:
        opcode = {"OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": "web1"}
        for value in ("a\n", ["a\0"], {"b": "\x1b"}, {"b": [{"c": "\r"}]}, 10**30, {"a=": 1}):
            with self.assertRaisesRegex(Invalid, r"^osparams\.a\S*: must be "):
                read_opcode({**opcode, "osparams": {"a": value}})
