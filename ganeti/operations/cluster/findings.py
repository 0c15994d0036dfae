# SPDX-License-Identifier: BSD-2-Clause
"""What verification finds, and the report of it in the job's log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.operation import Progress


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its code, the kind and name of what it is about, and the words.

    A ``warning`` is no error.
    """

    code: Code
    kind: str
    name: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Report:
    """Writes findings into a job's log; what is ignored is only a warning.

    With ``verbose`` it says what was found to be well, too.
    """

    progress: Progress
    machine_readable: bool
    ignored: Collection[Code]
    verbose: bool = False

    def heading(self, text: str) -> None:
        """Say what is looked at next."""
        self.progress.say(f"* {text}")

    def detail(self, text: str) -> None:
        """Say what was looked at, if that is wanted."""
        if self.verbose:
            self.progress.say(f"  - {text}")

    def write(self, findings: Collection[Finding]) -> bool:
        """Write the findings; whether none of them is an error."""
        good = True
        for each in findings:
            minor = each.warning or each.code in self.ignored
            level = "WARNING" if minor else "ERROR"
            good = good and level != "ERROR"
            if self.machine_readable:
                code = each.code.value
                self.progress.say(f"  - {level}:{code}:{each.kind}:{each.name}:{each.message}")
            else:
                name = f" {each.name}" if each.name else ""
                self.progress.say(f"  - {level}: {each.kind}{name}: {each.message}")
        return good
