# SPDX-License-Identifier: BSD-2-Clause
"""The job filters as a chain: decides the action for each job from the stored rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, TypeAlias

from msgspec import Meta
from twisted.logger import Logger

from ganeti.errors import Invalid, Problem
from ganeti.jobs.filter_actions import JobRateLimit, Reject, Verdict
from ganeti.jobs.job import Job
from ganeti.master.filter_predicates import FilteredJob, Predicate, all_of
from ganeti.model.filters import ACCEPT, ACTIONS, CONTINUE, PAUSE, RATE_LIMIT, REJECT, FilterRule
from ganeti.schema.reading import read
from ganeti.schema.records import Record
from ganeti.schema.types import Count, JsonValue, Line, Long

Uuid: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
Entry: TypeAlias = tuple[Line, Line, Long]


class _RuleFields(Record):
    """The fields of a rule, except predicates and action, in the form in which they are checked."""

    uuid: Uuid
    priority: Count
    reason: tuple[Entry, ...]


def make_rule(
    uuid: str,
    watermark: int,
    *,
    priority: object,
    predicates: JsonValue,
    action: object,
    reason: object,
) -> FilterRule:
    """Return a rule with checked fields.

    :raises Invalid: lists every problem.
    """
    problems: list[Problem] = []
    given = None
    try:
        given = read(_RuleFields, {"uuid": uuid, "priority": priority, "reason": reason}, lax=True)
    except Invalid as e:
        problems += [_rephrase(each) for each in e.problems]
    try:
        # Compiled only for its problems; the chain compiles the rules that it applies.
        all_of(predicates, watermark)
    except Invalid as e:
        problems += e.problems
    problems += _check_action(action)
    if given is None or problems:
        raise Invalid(problems)
    return FilterRule(
        uuid=given.uuid,
        watermark=watermark,
        priority=given.priority,
        predicates=tuple(map(tuple, predicates)),
        action=action,
        reason_trail=given.reason,
    )


def _rephrase(problem: Problem) -> Problem:
    if problem.path != "uuid":
        return problem
    return Problem("uuid", "must be like 6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa, in lower case")


def _check_action(action: object) -> list[Problem]:
    match action:
        case str() if action in ACTIONS:
            return []
        # In Python, true and false are integers as well.
        case ["RATE_LIMIT", int(most)] if type(most) is int and most > 0:
            return []
        case "RATE_LIMIT" | ["RATE_LIMIT", *_]:
            what = f'must be ["{RATE_LIMIT}", n], where n is the maximum number of jobs, 1 or more'
            return [Problem("action", what)]
    known = ", ".join(ACTIONS)
    return [Problem("action", f'must be one of {known}, or ["{RATE_LIMIT}", n]')]


class FilterChain:
    """Applies the action of the first rule that matches a job and decides.

    A rule that this version does not understand, for example from a configuration that other
    software wrote, decides nothing and is logged; the queue never stops because of a rule.
    """

    def __init__(self, rules: Iterable[FilterRule]) -> None:
        ordered = sorted(rules, key=lambda rule: rule.place)
        self._rules = [_CompiledRule(rule) for rule in ordered if rule.action != CONTINUE]

    def __call__(self, job: Job) -> Verdict:
        subject = FilteredJob(job)
        verdict = None
        for each in self._rules:
            if each.applies(subject):
                verdict = _to_filter_action(each.rule)
                break
        # A job that a rule blocks does not count towards the limit of its reason.
        return _limit_by_reason(subject) if verdict is None else verdict


class _CompiledRule:
    """One rule with its compiled predicates."""

    _log = Logger()

    def __init__(self, rule: FilterRule) -> None:
        self.rule = rule
        self._matches = self._compile()

    def applies(self, subject: FilteredJob) -> bool:
        """Return whether the rule matches this job."""
        return self._matches is not None and self._matches(subject)

    def _compile(self) -> Predicate | None:
        try:
            if wrong := _check_action(self.rule.action):
                raise Invalid(wrong)
            return all_of(self.rule.predicates, self.rule.watermark)
        except Invalid as e:
            uuid = self.rule.uuid
            self._log.error("job filter {uuid} is ignored: {why}", uuid=uuid, why=str(e))
            return None


_RATE_LIMIT_REASON = re.compile(r"rate-limit:([1-9][0-9]{0,8}):.*")
_RATE_LIMIT_PREFIX = b"rate-limit:"


def _limit_by_reason(subject: FilteredJob) -> JobRateLimit | None:
    """Return the rate limit that a job's reason requests, ``rate-limit:N:TEXT``.

    At most N jobs with the same such reason run at once; see ganeti(7). If the reason trail has
    several, the smallest N applies.
    """
    if not any(_RATE_LIMIT_PREFIX in op.input.raw for op in subject.job.ops):
        return None  # the usual case, without decoding any opcode
    texts = [str(entry[1]) for entry in subject.reasons if len(entry) > 1]
    limits = [
        (int(match[1]), text) for text in texts if (match := _RATE_LIMIT_REASON.fullmatch(text))
    ]
    return JobRateLimit(min(limits)[1], min(limits)[0]) if limits else None


def _to_filter_action(rule: FilterRule) -> Verdict:
    if rule.action == REJECT:
        return Reject(_format_reject_reason(rule))
    if rule.action == PAUSE:
        return JobRateLimit(rule.uuid, 0)
    return None if rule.action == ACCEPT else JobRateLimit(rule.uuid, rule.action[1])


def _format_reject_reason(rule: FilterRule) -> str:
    reasons = [str(entry[1]) for entry in rule.reason_trail if entry[:1] == ("gnt:user",)]
    because = f", because: {reasons[-1]}" if reasons else ""
    return f"rejected by job filter {rule.uuid}{because}"
