# SPDX-License-Identifier: BSD-2-Clause
"""Predicates of job filters: what they match, and what is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.jobs.job import Job
from ganeti.jobs.submission import new_job
from ganeti.master.filter_predicates import FilteredJob, all_of
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.query.filters import MAX_DEPTH


def a_job(*opcodes: Opcode, number: int = 7) -> Job:
    return new_job(number, opcodes or (START, STOP), 1_700_000_000.0)


START = StartInstance(instance_name="web1", force=True, reason=(("gnt:user", "maintenance", 5),))
STOP = ShutdownInstance(instance_name="db1", timeout=30, priority=10)

TRUE: list[list[Any]] = [
    [],
    [["jobid", None]],
    [["jobid", ["=", "id", 7]]],
    [["jobid", ["=", "id", "7"]]],
    [["jobid", [">", "id", "watermark"]]],
    [["jobid", ["!", ["|", ["<=", "id", "watermark"], ["==", "id", 9]]]]],
    [["opcode", ["=", "OP_ID", "OP_INSTANCE_SHUTDOWN"]]],
    [["opcode", ["&", ["=~", "OP_ID", "^OP_INSTANCE_"], ["=", "instance_name", "web1"]]]],
    [["opcode", ["?", "force"]]],
    [["opcode", ["<", "timeout", 31]]],
    [["opcode", ["=", "priority", 10]]],
    [["opcode", ["!=", "instance_name", "web1"]]],
    [["opcode", ["!", ["=", "timeout", 31]]]],
    [["opcode", ["!", ["?", "force"]]]],
    [["opcode", ["|", ["=", "node_name", "node1"], ["=", "instance_name", "web1"]]]],
    [["opcode", ["!", ["&", ["=", "node_name", "node1"], ["=", "instance_name", "web2"]]]]],
    [["reason", ["=", "source", "gnt:user"]]],
    [["reason", ["&", ["=~", "reason", "^maint"], ["<", "timestamp", 6]]]],
    [["reason", ["=", "source", "gnt:opcode:instance_shutdown"]]],
    [["opcode", ["?", "force"]], ["opcode", ["=", "OP_ID", "OP_INSTANCE_SHUTDOWN"]]],
]
FALSE: list[list[Any]] = [
    [["jobid", ["<", "id", "watermark"]]],
    [["jobid", ["=", "id", 7]], ["jobid", ["=", "id", 8]]],
    [["opcode", ["=", "OP_ID", "OP_CLUSTER_VERIFY"]]],
    [["opcode", ["&", ["=", "instance_name", "web1"], ["=", "timeout", 30]]]],
    [["opcode", ["=", "node_name", "node1"]]],
    [["opcode", [">", "memory", 0]]],
    [["opcode", ["=~", "node_name", "."]]],
    [["opcode", ["=[]", "tags", "x"]]],
    [["opcode", ["?", "cleanup"]]],
    [["opcode", ["!=", "node_name", "node1"]]],
    [["opcode", ["!", ["?", "cleanup"]]]],
    [["opcode", ["!", [">", "memory", 0]]]],
    [["opcode", ["!", ["&", ["=", "node_name", "node1"], ["=~", "instance_name", "."]]]]],
    [["reason", ["=", "reason", "other"]]],
    [["reason", ["|"]]],
]
WRONG: list[tuple[Any, list[str]]] = [
    ("jobid", ["predicates: must be a list"]),
    ([["job", None]], ["predicates[0]: there is no predicate job"]),
    ([["jobid"]], ["predicates[0]: must be [name, filter]"]),
    ([5, ["jobid", 7]], ["predicates[0]: must be [name", "predicates[1]: a filter must be null"]),
    ([["jobid", ["=", "number", 7]]], ["predicates[0]: there is no field number"]),
    ([["jobid", ["=", "id", "soon"]]], ["predicates[0]: id is a number; soon is not"]),
    ([["jobid", ["=~", "id", "watermark"]]], ["predicates[0]: id cannot be searched"]),
    (
        [["opcode", ["&", ["=", "OPID", "x"], ["~", "OP_ID", "y"]]], ["reason", ["?", "source"]]],
        [
            "predicates[0]: there is no field OPID",
            "predicates[0]: there is no operator ~",
            "predicates[1]: source is not true or false",
        ],
    ),
]


def matches(predicates: Any, job: Job, watermark: int = 6) -> bool:
    return all_of(predicates, watermark)(FilteredJob(job))


class PredicateTests(SynchronousTestCase):
    def test_what_matches(self) -> None:
        for written in TRUE:
            self.assertTrue(matches(written, a_job()), written)

    def test_what_does_not_match(self) -> None:
        for written in FALSE:
            self.assertFalse(matches(written, a_job()), written)

    def test_everything_that_is_wrong_is_told_with_its_place(self) -> None:
        for written, expected in WRONG:
            error = self.assertRaises(Invalid, all_of, written, 6)
            told = [str(each) for each in error.problems]
            self.assertEqual(len(told), len(expected), told)
            for each, start in zip(told, expected, strict=True):
                self.assertTrue(each.startswith(start), each)

    def test_nesting_has_an_end(self) -> None:
        written: list[Any] = [">", "id", "watermark"]
        for _ in range(100 * MAX_DEPTH):
            written = ["!", written]
        self.assertRaisesRegex(Invalid, "nested 64 deep", all_of, [["jobid", written]], 6)

    def test_secrets_are_not_looked_at(self) -> None:
        secret = CreateInstance(
            instance_name="web1",
            mode="create",  # type: ignore[arg-type]
            disk_template="diskless",  # type: ignore[arg-type]
            disks=(),
            nics=(),
            osparams_secret={"key": "hush"},
        )
        found = FilteredJob(a_job(secret)).opcodes[0]
        self.assertNotIn("hush", str(found))


# Expressions, and what they mean said once more and plainly.

jobs = st.builds(
    lambda number, names: a_job(
        *(StartInstance(instance_name=n) if n else Delay(duration=1.0) for n in names),
        number=number,
    ),
    st.integers(1, 9),
    st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=3),
)
OPERATORS = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}
by_number = st.tuples(
    st.sampled_from(sorted(OPERATORS)), st.just("id"), st.integers(0, 9) | st.just("watermark")
).map(list)
by_name = st.tuples(
    st.sampled_from(["=", "!="]), st.just("instance_name"), st.sampled_from("abc")
).map(list)


def combined(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: ["&", *parts]),
            st.lists(inner, max_size=3).map(lambda parts: ["|", *parts]),
            inner.map(lambda part: ["!", part]),
        ),
        max_leaves=6,
    )


def holds(written: Any, values: dict[str, Any], watermark: int) -> bool | None:
    """Whether it is true, or None if nobody can say."""
    word, *rest = written
    if word == "!":
        inner = holds(rest[0], values, watermark)
        return None if inner is None else not inner
    if word in ("&", "|"):
        parts = [holds(part, values, watermark) for part in rest]
        decisive = word == "|"
        return decisive if decisive in parts else None if None in parts else not decisive
    name, value = rest
    if values[name] is None:
        return None
    return bool(OPERATORS[word](values[name], watermark if value == "watermark" else value))


garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["jobid", "opcode", "reason", "id", "OP_ID", "source", "watermark"])
    | st.sampled_from(["&", "|", "!", "?", "=", "<", "=~", "=[]"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


class AnyPredicateTests(SynchronousTestCase):
    @given(jobs, combined(by_number), combined(by_name), st.integers(0, 9))
    def test_it_means_what_it_says(self, job: Job, about_id: Any, about_op: Any, mark: int) -> None:
        names = [opcode.get("instance_name") for opcode in FilteredJob(job).opcodes]
        expected = holds(about_id, {"id": job.id}, mark) is True and any(
            holds(about_op, {"instance_name": name}, mark) is True for name in names
        )
        written = [["jobid", about_id], ["opcode", about_op]]
        self.assertIs(matches(written, job, mark), expected)

    @given(garbage, st.sampled_from(["jobid", "opcode", "reason"]))
    def test_garbage_is_refused_and_nothing_worse(self, written: Any, name: str) -> None:
        for each in (written, [[name, written]]):
            try:
                self.assertIn(matches(each, a_job()), (True, False))
            except Invalid as e:
                self.assertTrue(all(found.message for found in e.problems))
