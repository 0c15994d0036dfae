# SPDX-License-Identifier: BSD-2-Clause
"""Job filters at work: from rules as they are stored to what becomes of a job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from msgspec import Meta
from twisted.logger import Logger

from ganeti.errors import Invalid, Problem
from ganeti.jobs.filter_actions import JobRateLimit, Reject, Verdict
from ganeti.jobs.job import Job
from ganeti.master.filter_predicates import FilteredJob, Predicate, all_of
from ganeti.model.filters import ACCEPT, ACTIONS, CONTINUE, PAUSE, RATE_LIMIT, REJECT, FilterRule
from ganeti.schema.reading import read
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Long

Uuid: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
Entry: TypeAlias = tuple[Line, Line, Long]


class _Given(Record):
    """What there is to check of a rule besides its predicates and its action."""

    uuid: Uuid
    priority: Count
    reason: tuple[Entry, ...]


def rule_of(
    uuid: str, watermark: int, *, priority: Any, predicates: Any, action: Any, reason: Any
) -> FilterRule:
    """The rule that somebody asks for.

    :raises Invalid: with everything that is wrong.
    """
    problems: list[Problem] = []
    given = None
    try:
        given = read(_Given, {"uuid": uuid, "priority": priority, "reason": reason}, lax=True)
    except Invalid as e:
        problems += [_phrased(each) for each in e.problems]
    try:
        all_of(predicates, watermark)
    except Invalid as e:
        problems += e.problems
    problems += _wrong_action(action)
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


def _phrased(problem: Problem) -> Problem:
    if problem.path != "uuid":
        return problem
    return Problem("uuid", "must be like 6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa, in small letters")


def _wrong_action(action: Any) -> list[Problem]:
    match action:
        case str() if action in ACTIONS:
            return []
        case ["RATE_LIMIT", int(most)] if type(most) is int and most > 0:
            return []
        case "RATE_LIMIT" | ["RATE_LIMIT", *_]:
            what = f'must be ["{RATE_LIMIT}", n], with n jobs at most, of 1 and more'
            return [Problem("action", what)]
    known = ", ".join(ACTIONS)
    return [Problem("action", f'must be one of {known}, or ["{RATE_LIMIT}", n]')]


class FilterChain:
    """What the rules say of a job: the first that it matches, and that decides anything, holds.

    A rule that is not understood, which may have come with a configuration that other software
    wrote, decides nothing, and the log says so; the queue is never held up by its rules.
    """

    def __init__(self, rules: Iterable[FilterRule]) -> None:
        ordered = sorted(rules, key=lambda rule: rule.place)
        self._rules = [_Standing(rule) for rule in ordered if rule.action != CONTINUE]

    def __call__(self, job: Job) -> Verdict:
        subject = FilteredJob(job)
        verdict = None
        for each in self._rules:
            if each.applies(subject):
                verdict = _verdict(each.rule)
                break
        # A job that is held by a rule does not compete with others.
        return _limit_by_reason(subject) if verdict is None else verdict


class _Standing:
    """One rule, as long as it stands."""

    _log = Logger()

    def __init__(self, rule: FilterRule) -> None:
        self.rule = rule
        self._matches = self._predicate()

    def applies(self, subject: FilteredJob) -> bool:
        """Whether it is about this job."""
        return self._matches is not None and self._matches(subject)

    def _predicate(self) -> Predicate | None:
        try:
            if wrong := _wrong_action(self.rule.action):
                raise Invalid(wrong)
            return all_of(self.rule.predicates, self.rule.watermark)
        except Invalid as e:
            uuid = self.rule.uuid
            self._log.error("job filter {uuid} decides nothing: {why}", uuid=uuid, why=str(e))
            return None


_LIMIT = re.compile(r"rate-limit:([1-9][0-9]{0,8}):.*")
_MARK = b"rate-limit:"


def _limit_by_reason(subject: FilteredJob) -> JobRateLimit | None:
    """The gate that the owner of a job asks for by its reason, ``rate-limit:N:TEXT``.

    At most N jobs of the same such reason run at once; see ganeti(7). Of several reasons in the
    trail of a job the one that is narrowest holds.
    """
    if not any(_MARK in op.input.raw for op in subject.job.ops):
        return None  # as with nearly all jobs, of which nothing has to be read
    texts = [str(entry[1]) for entry in subject.reasons if len(entry) > 1]
    limits = [(int(match[1]), text) for text in texts if (match := _LIMIT.fullmatch(text))]
    return JobRateLimit(min(limits)[1], min(limits)[0]) if limits else None


def _verdict(rule: FilterRule) -> Verdict:
    if rule.action == REJECT:
        return Reject(_why(rule))
    if rule.action == PAUSE:
        return JobRateLimit(rule.uuid, 0)
    return None if rule.action == ACCEPT else JobRateLimit(rule.uuid, rule.action[1])


def _why(rule: FilterRule) -> str:
    said = [str(entry[1]) for entry in rule.reason_trail if entry[:1] == ("gnt:user",)]
    because = f", because: {said[-1]}" if said else ""
    return f"rejected by job filter {rule.uuid}{because}"
