# SPDX-License-Identifier: BSD-2-Clause
"""Findings of the verification, and their report in the job's log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.operation import Progress


@dataclass(frozen=True)
class Finding:
    """A finding: its code, kind and name of the object, and a message.

    A ``warning`` does not fail the verification.
    """

    code: Code
    kind: str
    name: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Report:
    """A writer of findings to a job's log; errors with an ``ignored`` code become warnings.

    With ``verbose`` it also writes what was found to be correct.
    """

    progress: Progress
    machine_readable: bool
    ignored: Collection[Code]
    verbose: bool = False

    def write_heading(self, text: str) -> None:
        """Write the heading of a section."""
        self.progress.log_message(f"* {text}")

    def detail(self, text: str) -> None:
        """Write what was checked, if ``verbose`` is set."""
        if self.verbose:
            self.progress.log_message(f"  - {text}")

    def write(self, findings: Collection[Finding]) -> bool:
        """Write the findings; return whether none is an error."""
        good = True
        for each in findings:
            minor = each.warning or each.code in self.ignored
            level = "WARNING" if minor else "ERROR"
            good = good and level != "ERROR"
            if self.machine_readable:
                code = each.code.value
                self.progress.log_message(
                    f"  - {level}:{code}:{each.kind}:{each.name}:{each.message}"
                )
            else:
                name = f" {each.name}" if each.name else ""
                self.progress.log_message(f"  - {level}: {each.kind}{name}: {each.message}")
        return good
